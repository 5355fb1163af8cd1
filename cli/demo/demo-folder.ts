import { chmod, lstat, mkdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { stringify } from 'smol-toml';
import { EverbootFailure } from '../../domain/failures.ts';
import { listFolder } from '../../hypervisor/files/small-file.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The flavor of the demo's guest. Root and ephemeral disk are sparse, so that they cost next to nothing. */
export const demoFlavor = { vcpus: 1, memory_mb: 256, root_gb: 1, ephemeral_gb: 2, swap_mb: 64 } as const;

/** Where the demo keeps everything, apart from what this machine may be used for otherwise. */
export interface DemoFolder {
  readonly path: string;
  readonly images: string;
  readonly instances: string;
  readonly configurationFile: string;
  /** The environment of every command of the demo. */
  readonly environment: NodeJS.ProcessEnv;
  /** True: the user named a Temporal, so none is started. */
  readonly usesNamedTemporal: boolean;
}

/**
 * Makes the demo's folder in the state folder, with a configuration of its own. Throws HostUnsuitable where somebody
 * else took the place of the instances.
 */
export async function prepareDemoFolder(stateDirectory: string, environment: Environment): Promise<DemoFolder> {
  const path = join(stateDirectory, 'demo');
  const images = join(path, 'images');
  for (const folder of [path, images, join(path, 'bin')]) await makeFolder(folder);
  const instances = await placeForInstances(path);
  await makeFolder(instances);
  // Set up once for the whole state folder; the demo's `up` looks for them in its own.
  await linkTo(join(stateDirectory, 'bin', 'temporal'), join(path, 'bin', 'temporal'));
  await linkTo(join(stateDirectory, 'guest'), join(path, 'guest'));

  // Temporal's tools want the profile that they would go by, even if it says nothing.
  await writeFile(join(path, 'temporal.toml'), '[profile.default]\n');
  const configurationFile = join(path, 'demo.toml');
  const glanceUrl = environment.GLANCE_URL;
  const configuration = {
    host: { instances_path: instances, file_image_roots: [images] },
    flavors: { demo: demoFlavor },
    ...(glanceUrl === undefined ? {} : { glance: { api_servers: [glanceUrl] } }),
  };
  await writeFile(configurationFile, `# Written by \`everboot demo\`.\n${stringify(configuration)}`);
  return {
    path,
    images,
    instances,
    configurationFile,
    environment: commandEnvironment(environment, { path, configurationFile, stateDirectory }),
    usesNamedTemporal: isSet(environment.TEMPORAL_ADDRESS),
  };
}

/** Removes what instances have left in the cache; an instance of an earlier demo that was kept stays, and its base. */
export async function clearInstances({ instances }: DemoFolder): Promise<void> {
  const left = (await listFolder(instances)).filter((name) => name !== '_base' && name !== '.everboot');
  if (left.length === 0) await rm(instances, { recursive: true, force: true });
}

/**
 * The user's environment, where it says how to reach libvirt or a Temporal, but nothing else of everboot's: the demo
 * has its own configuration. Without TEMPORAL_ADDRESS, a profile for some other Temporal must not lead the commands
 * there.
 */
function commandEnvironment(
  environment: Environment,
  own: { readonly path: string; readonly configurationFile: string; readonly stateDirectory: string },
): NodeJS.ProcessEnv {
  const isKept = (name: string): boolean => {
    if (name.startsWith('EVERBOOT_')) return name.startsWith('EVERBOOT_LIBVIRT_');
    return !name.startsWith('TEMPORAL_') || isSet(environment.TEMPORAL_ADDRESS);
  };
  return {
    ...Object.fromEntries(Object.entries(environment).filter(([name]) => isKept(name))),
    ...(isSet(environment.TEMPORAL_ADDRESS) ? {} : { TEMPORAL_CONFIG_FILE: join(own.path, 'temporal.toml') }),
    PATH: [environment.PATH ?? '', '/usr/sbin', '/sbin', join(own.stateDirectory, 'bin')].join(delimiter),
    EVERBOOT_CONFIG: own.configurationFile,
    EVERBOOT_STATE_DIR: own.path,
  };
}

function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}

/** libvirt's guests run as a user of their own, who gets no further than a home that is closed to others. */
async function placeForInstances(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) {
    if (((await stat(folder)).mode & 0o001) === 0) return `/var/tmp/everboot-demo-${process.getuid?.() ?? 0}`;
    if (folder === dirname(folder)) return join(path, 'instances');
  }
}

/** Others may go through, and see nothing. */
async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  const folder = await lstat(path);
  if (!folder.isDirectory() || folder.uid !== process.getuid?.()) {
    throw new EverbootFailure('HostUnsuitable', `${path} belongs to somebody else, and the demo would write there`, {
      remedy: 'Remove it, or set EVERBOOT_STATE_DIR to another folder.',
    });
  }
  await chmod(path, 0o711);
}

async function linkTo(target: string, path: string): Promise<void> {
  await rm(path, { force: true });
  await symlink(target, path);
}
