import { chmod, copyFile, mkdir, open, readdir, readFile, stat, symlink, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { copyModules } from './guest-modules.ts';

const mebibyte = 2 ** 20;
const sectorBytes = 512;

/** Where the first partition begins, as every partitioning program has it. */
const bootStartBytes = mebibyte;
const rootSizeBytes = 16 * mebibyte;

/** The boot code of an MBR ends where its partition table begins. */
const maxBootCodeBytes = 440;
const bootCodeFile = '/usr/lib/syslinux/mbr/mbr.bin';

const programTimeoutMs = 60_000;

/** Files copied into the guest unchanged. */
export const guestScripts = join(import.meta.dirname, 'guest');

/** The first file system: busybox and the modules that lead to the root disk. */
export async function makeInitrd(
  work: string,
  { busybox, modules }: { readonly busybox: string; readonly modules: string },
  signal: AbortSignal,
): Promise<string> {
  const tree = join(work, 'initrd.tree');
  await mkdir(join(tree, 'bin'), { recursive: true });
  await mkdir(join(tree, 'modules'));
  await copyProgram(busybox, join(tree, 'bin', 'busybox'));
  await copyProgram(join(guestScripts, 'first-init.sh'), join(tree, 'init'));
  await copyModules(modules, join(tree, 'modules'), signal);
  const names = (await readdir(tree, { recursive: true })).toSorted();
  const archive = join(work, 'initrd');
  await run('cpio', ['--quiet', '-o', '-H', 'newc', '-R', '0:0', '-O', archive], signal, {
    input: `${names.join('\n')}\n`,
    workingDirectory: tree,
  });
  return archive;
}

/** A FAT file system with the boot loader, which the BIOS can read. */
export async function makeBootPartition(
  work: string,
  { kernel, initrd }: { readonly kernel: string; readonly initrd: string },
  signal: AbortSignal,
): Promise<string> {
  const partition = join(work, 'boot');
  const contentBytes = (await stat(kernel)).size + (await stat(initrd)).size;
  // Room for the boot loader and the file allocation tables.
  await makeEmptyFile(partition, (Math.ceil(contentBytes / mebibyte) + 4) * mebibyte);
  const startSector = String(bootStartBytes / sectorBytes);
  await run('mkfs.vfat', ['-n', 'BOOT', '-h', startSector, partition], signal);
  await run('syslinux', ['--install', partition], signal);
  for (const [source, name] of [
    [kernel, 'vmlinuz'],
    [initrd, 'initrd'],
    [join(guestScripts, 'syslinux.cfg'), 'syslinux.cfg'],
  ] as const) {
    await run('mcopy', ['-i', partition, source, `::${name}`], signal);
  }
  return partition;
}

/** The root: busybox as its own init, and the script that reports. */
export async function makeRootPartition(work: string, busybox: string, signal: AbortSignal): Promise<string> {
  const tree = join(work, 'root.tree');
  for (const folder of ['bin', 'sbin', 'etc', 'dev', 'proc', 'sys', 'mnt', 'root', 'tmp']) {
    await mkdir(join(tree, folder), { recursive: true });
  }
  await copyProgram(busybox, join(tree, 'bin', 'busybox'));
  await copyProgram(join(guestScripts, 'report.sh'), join(tree, 'etc', 'report.sh'));
  await copyFile(join(guestScripts, 'inittab'), join(tree, 'etc', 'inittab'));
  await symlink('busybox', join(tree, 'bin', 'sh'));
  await symlink('../bin/busybox', join(tree, 'sbin', 'init'));
  const partition = join(work, 'root');
  await makeEmptyFile(partition, rootSizeBytes);
  const options = ['-q', '-F', '-L', 'cloudimg-rootfs', '-E', 'root_owner=0:0', '-d', tree];
  await run('mkfs.ext4', [...options, partition], signal);
  return partition;
}

/** Puts the partitions behind a partition table and the boot code that starts the first of them. */
export async function makeDisk(
  work: string,
  { boot, root }: { readonly boot: string; readonly root: string },
  signal: AbortSignal,
): Promise<string> {
  const disk = join(work, 'disk');
  const bootBytes = (await stat(boot)).size;
  const rootStartBytes = bootStartBytes + bootBytes;
  await makeEmptyFile(disk, rootStartBytes + rootSizeBytes);
  const sectors = (bytes: number): number => bytes / sectorBytes;
  const table = [
    'label: dos',
    `start=${sectors(bootStartBytes)}, size=${sectors(bootBytes)}, type=6, bootable`,
    `start=${sectors(rootStartBytes)}, size=${sectors(rootSizeBytes)}, type=83`,
  ];
  await run('sfdisk', ['--quiet', disk], signal, { input: `${table.join('\n')}\n` });
  await writeAt(disk, 0, (await readFile(bootCodeFile)).subarray(0, maxBootCodeBytes));
  await writeAt(disk, bootStartBytes, await readFile(boot));
  await writeAt(disk, rootStartBytes, await readFile(root));
  return disk;
}

async function writeAt(path: string, offsetBytes: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.write(bytes, 0, bytes.length, offsetBytes);
  } finally {
    await file.close();
  }
}

async function makeEmptyFile(path: string, sizeBytes: number): Promise<void> {
  await (await open(path, 'wx')).close();
  await truncate(path, sizeBytes);
}

async function copyProgram(source: string, destination: string): Promise<void> {
  await copyFile(source, destination);
  await chmod(destination, 0o755);
}

async function run(
  program: string,
  args: readonly string[],
  signal: AbortSignal,
  options: { readonly input?: string; readonly workingDirectory?: string } = {},
): Promise<void> {
  await runProgram(program, args, { signal, timeoutMs: programTimeoutMs, ...options });
}
