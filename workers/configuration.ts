import { statSync } from 'node:fs';
import { access, constants, open, stat } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import type { Configuration } from '../domain/configuration.ts';
import { parseConfiguration } from '../domain/configuration-schema.ts';
import { EverbootFailure } from '../domain/failures.ts';
import { mistakes } from '../domain/problems.ts';
import { type Environment, type EnvironmentOption, environmentOptions } from './environment-options.ts';
import { unsupportedOptions } from './unsupported-options.ts';

const defaultFile = '/etc/everboot/everboot.toml';
const defaultStateDirectory = '/var/lib/everboot';
const maxFileBytes = 256 * 1024;

export interface ConfigurationText {
  /** TOML; given, no file is read. */
  readonly text?: string;
  /** Absent: the file that the environment names; null: none, the defaults count. */
  readonly file?: string | null;
  readonly environment: Environment;
  /** Where keys are if no option says so. */
  readonly stateDirectory?: string;
}

/**
 * Reads the whole configuration: the file, then the environment's `EVERBOOT_<SECTION>_<KEY>`, then the defaults. Throws
 * ConfigInvalid with a line for every mistake, and for what is asked for and not built yet.
 */
export async function readConfiguration(source: ConfigurationText): Promise<Configuration> {
  const { environment, stateDirectory } = source;
  const tables = await readTables(source);
  const options = environmentOptions(environment);
  const configuration = parseConfiguration(overridden(tables, options), {
    machineName: hostname(),
    origin: (section, option) =>
      options.find((candidate) => candidate.section === section && candidate.option === option)?.variable,
  });
  const problems = [...unsupportedOptions(configuration), ...contradictions(configuration)];
  if (problems.length > 0) throw mistakes('ConfigInvalid', 'the configuration', problems);
  return stateDirectory === undefined ? configuration : withDefaultKeys(configuration, stateDirectory);
}

/** Options that make no sense without each other. */
function contradictions({ glance, host, libvirt }: Configuration): readonly string[] {
  const found: string[] = [];
  if (glance.verifyGlanceSignatures && glance.signatureCertificatesPath === null) {
    found.push(
      '[glance] signature_certificates_path: none, expected the folder of the certificates, because verify_glance_signatures is true',
    );
  }
  if (libvirt.imagesType === 'lvm' && libvirt.imagesVolumeGroup === null) {
    found.push('[libvirt] images_volume_group: none, expected a volume group, because images_type is lvm');
  }
  if (libvirt.imagesType === 'rbd' && libvirt.imagesRbdPool === null) {
    found.push('[libvirt] images_rbd_pool: none, expected the name of a Ceph pool, because images_type is rbd');
  }
  if (libvirt.imagesType === 'rbd' && !libvirt.forceRawImages) {
    // As in Nova: what is in a pool is raw.
    found.push('[libvirt] force_raw_images: false, expected true, because images_type is rbd');
  }
  const { virtType, connectionUri } = libvirt;
  const needsAppliance = libvirt.injectPartition !== -2 || libvirt.resizeFsUsingBlockDevice || virtType === 'lxc';
  if (needsAppliance && /^\/tmp(?:\/|$)/.test(host.instancesPath)) {
    // libguestfs gets a /tmp of its own, in which no disk would be seen.
    const given = JSON.stringify(host.instancesPath);
    found.push(
      `[host] instances_path: ${given}, expected a folder outside of /tmp, because injection, growth and containers use libguestfs`,
    );
  }
  if (virtType === 'lxc' && !connectionUri.startsWith('lxc')) {
    const given = JSON.stringify(connectionUri);
    found.push(`[libvirt] connection_uri: ${given}, expected one such as lxc:///system, because virt_type is lxc`);
  }
  return found;
}

/** The file that the environment names, else the default one; null where that is absent, so that the defaults count. */
export function configurationFile(environment: Environment): string | null {
  const named = environment.EVERBOOT_CONFIG;
  if (named !== undefined && named !== '') return resolve(named);
  try {
    return statSync(defaultFile, { throwIfNoEntry: false }) === undefined ? null : defaultFile;
  } catch {
    // A file that may not be looked at must not pass for one that is absent; reading it says what is wrong.
    return defaultFile;
  }
}

/** The folder for Temporal's database of `up`, keys, and what set-up downloads. It need not exist yet. */
export async function findStateDirectory(environment: Environment): Promise<string> {
  const named = environment.EVERBOOT_STATE_DIR;
  if (named !== undefined && named !== '') return resolve(named);
  if (await isWritable(defaultStateDirectory)) return defaultStateDirectory;
  const home = environment.HOME ?? homedir();
  const xdg = environment.XDG_STATE_HOME;
  // XDG's own rule: a relative path is ignored.
  return join(xdg !== undefined && isAbsolute(xdg) ? xdg : join(home, '.local/state'), 'everboot');
}

async function readTables({ text, file, environment }: ConfigurationText): Promise<object> {
  const path = file === undefined && text === undefined ? configurationFile(environment) : (file ?? null);
  const toml = text ?? (path === null ? '' : await readText(path));
  if (Buffer.byteLength(toml) > maxFileBytes) throw tooLarge(path);
  try {
    return parse(toml);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [reason] = error.message.split('\n');
    const place = `${path ?? 'the configuration'}, line ${error.line}, column ${error.column}`;
    throw new EverbootFailure('ConfigInvalid', `${place}: ${reason}`, { remedy: 'Correct the TOML there.' });
  }
}

async function readText(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size > maxFileBytes) throw tooLarge(path);
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof EverbootFailure) throw error;
    const reason = (error as NodeJS.ErrnoException).code;
    throw new EverbootFailure('ConfigInvalid', `the configuration ${path} cannot be read (${reason})`, {
      remedy: 'Set EVERBOOT_CONFIG to a file that is there and may be read.',
    });
  }
}

function tooLarge(path: string | null): EverbootFailure {
  return new EverbootFailure(
    'ConfigInvalid',
    `${path ?? 'the configuration'} has more than ${maxFileBytes / 1024} KiB`,
  );
}

/** The file's tables with the environment's values in them. What is no table is left for the check to refuse. */
function overridden(tables: object, options: readonly EnvironmentOption[]): object {
  const merged: Record<string, unknown> = { ...tables };
  for (const { section, option, value } of options) {
    const table = merged[section] ?? {};
    if (typeof table === 'object') merged[section] = { ...table, [option]: value };
  }
  return merged;
}

function withDefaultKeys(configuration: Configuration, stateDirectory: string): Configuration {
  const { publicKeyFile, privateKeyFile } = configuration.secrets;
  if (publicKeyFile !== null || privateKeyFile !== null) return configuration;
  const keys = join(stateDirectory, 'keys');
  const secrets = { publicKeyFile: join(keys, 'public.json'), privateKeyFile: join(keys, 'private.json') };
  return { ...configuration, secrets };
}

/** Whether a folder can be written to, or be made in its parent. */
async function isWritable(folder: string): Promise<boolean> {
  const isThere = await stat(folder).then(
    (found) => found.isDirectory(),
    () => null,
  );
  if (isThere === false) return false;
  return await access(isThere === true ? folder : dirname(folder), constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
}
