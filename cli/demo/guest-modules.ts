import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { EverbootFailure } from '../../domain/failures.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';

/**
 * The modules that a guest of ours needs to see its disks. Distributions build some of them into the kernel; one that
 * is not there is left out.
 */
const wantedModules = [
  ...['virtio_pci', 'virtio_mmio', 'virtio_blk', 'virtio_scsi', 'ata_piix', 'ahci', 'sd_mod', 'sr_mod'],
  ...['crc32c_generic', 'ext4', 'isofs', 'vfat', 'nls_cp437', 'nls_ascii', 'nls_iso8859_1', 'nls_utf8'],
];

/** One module file, relative to its kernel's module folder. */
export interface ModuleFile {
  readonly name: string;
  readonly path: string;
}

/**
 * The files to load for these modules, each after those that it needs. `dependencies` is the text of modules.dep: a
 * line a module, with what it needs after a colon, the nearest first.
 */
export function modulesInOrder(dependencies: string, wanted: readonly string[] = wantedModules): ModuleFile[] {
  const needs = new Map<string, string[]>();
  for (const line of dependencies.split('\n')) {
    const [path, needed = ''] = line.split(':');
    if (path !== undefined && path !== '')
      needs.set(
        path,
        needed.split(' ').filter((word) => word !== ''),
      );
  }
  const pathOf = new Map([...needs.keys()].map((path) => [moduleName(path), path]));
  const paths = wanted.flatMap((name) => {
    const path = pathOf.get(name);
    return path === undefined ? [] : [...(needs.get(path) ?? []).toReversed(), path];
  });
  return [...new Set(paths)].map((path) => ({ name: moduleName(path), path }));
}

/** `kernel/fs/isofs/isofs.ko.xz` is isofs; a dash in a file's name is the same as an underscore. */
function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(\.\w+)?$/, '')
    .replaceAll('-', '_');
}

/**
 * Copies the modules, not compressed, into a folder, with names that sort as they are to be loaded.
 * Throws HostUnsuitable for a folder of modules that depmod has not seen.
 */
export async function copyModules(
  modulesFolder: string,
  destination: string,
  signal: AbortSignal,
  wanted: readonly string[] = wantedModules,
): Promise<void> {
  const dependencies = await readFile(join(modulesFolder, 'modules.dep'), 'utf8').catch(() => {
    throw new EverbootFailure('HostUnsuitable', `there is no modules.dep in ${modulesFolder}`, {
      remedy: 'Remove the folder `guest` from the state folder and run `./everboot demo` again, which gets it again.',
    });
  });
  for (const [index, { name, path }] of modulesInOrder(dependencies, wanted).entries()) {
    const target = join(destination, `${String(index).padStart(2, '0')}-${name}.ko`);
    await copyModule(join(modulesFolder, path), target, signal);
  }
}

/** Busybox loads plain modules only. Debian packs them by xz since 13, Ubuntu by zstd. */
async function copyModule(path: string, target: string, signal: AbortSignal): Promise<void> {
  if (path.endsWith('.xz')) {
    await copyFile(path, `${target}.xz`);
    await runProgram('xz', ['-d', '--', `${target}.xz`], { signal, timeoutMs: 10_000 });
    return;
  }
  const bytes = await readFile(path);
  if (path.endsWith('.zst')) await writeFile(target, zstdDecompressSync(bytes));
  else await writeFile(target, path.endsWith('.gz') ? gunzipSync(bytes) : bytes);
}

/** The newest kernel of an unpacked package, and its modules' folder. Throws HostUnsuitable where there is none. */
export async function findGuestKernel(root: string): Promise<{ readonly kernel: string; readonly modules: string }> {
  const boot = join(root, 'boot');
  const names = await readdir(boot).catch(() => []);
  const kernels = names.filter((name) => name.startsWith('vmlinuz-'));
  const newest = kernels.toSorted(new Intl.Collator('en', { numeric: true }).compare).at(-1);
  if (newest === undefined) {
    throw new EverbootFailure('HostUnsuitable', `there is no kernel for a small guest in ${boot}`, {
      remedy: 'Run `./everboot demo`, which gets one.',
    });
  }
  return { kernel: join(boot, newest), modules: join(root, 'lib', 'modules', newest.slice('vmlinuz-'.length)) };
}
