import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runProgram } from '../../../hypervisor/process/run-program.ts';

const timeoutMs = 30_000;

/** Mounts a small file system of its own on a folder. */
export async function mountSmall(folder: string, mebibytes: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  await runProgram('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=0711`, 'tmpfs', folder], { timeoutMs });
}

export async function unmount(folder: string): Promise<void> {
  await runProgram('umount', ['--lazy', folder], { timeoutMs });
}

/** Takes every free block of the file system that a folder is on, in one move: the step must not be taken for dead. */
export async function fillFileSystem(folder: string): Promise<void> {
  for (let number = 0; ; number += 1) {
    const { bavail, bsize } = await statfs(folder);
    if (bavail === 0) return;
    const filler = `${folder}/.everboot/filler-${number}`;
    // Others may take some of it in between.
    await runProgram('fallocate', ['-l', `${bavail * bsize}`, filler], { timeoutMs }).catch(() => rm(filler));
  }
}

export async function emptyFileSystem(folder: string): Promise<void> {
  for (const name of await readdir(`${folder}/.everboot`)) {
    if (name.startsWith('filler-')) await rm(`${folder}/.everboot/${name}`);
  }
}

/** A file system that fails with EIO where it is asked to: every write, sync and change of a name under that folder. */
export interface FailingFileSystem {
  readonly folder: string;
  unmount(): Promise<void>;
}

/**
 * Mounts a folder of a file system of our own over the disk's: what it answers is the kernel's word for every program.
 */
export async function mountFailing(backing: string, folder: string): Promise<FailingFileSystem> {
  await mkdir(backing, { recursive: true });
  await mkdir(folder, { recursive: true });
  const device = (await stat(folder)).dev;
  const program = `${import.meta.dirname}/failing-file-system.py`;
  const server: ChildProcess = spawn('/usr/bin/python3', [program, backing, folder], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(server, 'exit');
  for (let waitedMs = 0; (await stat(folder)).dev === device; waitedMs += 50) {
    if (server.exitCode !== null || waitedMs > timeoutMs) throw new Error('the failing file system was not mounted');
    await sleep(50);
  }
  return {
    folder,
    async unmount() {
      await unmount(folder);
      server.kill('SIGTERM');
      await ended;
    },
  };
}

/** Where the failing file system looks whether a case's folder is broken: beside its mount, never inside of it. */
const mark = (instancesPath: string): string => `${dirname(dirname(instancesPath))}.broken/${caseOf(instancesPath)}`;
const caseOf = (instancesPath: string): string => dirname(instancesPath).split('/').at(-1) ?? '';

/** Breaks it permanently, or only the writes from one to another, counted from now on. */
export async function breakFolder(instancesPath: string, writes: readonly [number, number] | [] = []): Promise<void> {
  await mkdir(dirname(mark(instancesPath)), { recursive: true });
  await writeFile(mark(instancesPath), writes.join(' '));
}

export async function mendFolder(instancesPath: string): Promise<void> {
  if (existsSync(mark(instancesPath))) await rm(mark(instancesPath));
}

/** A folder for a host's instances that fails when it is asked to, for a test outside of the matrix. */
export async function makeFailingFolder(folder: string) {
  const { folder: mounted, unmount } = await mountFailing(join(folder, 'failing-files'), join(folder, 'failing'));
  const directory = join(mounted, 'host', 'instances');
  await mkdir(directory, { recursive: true });
  return {
    directory,
    /** See `breakFolder`. */
    break: (writes?: readonly [number, number]): Promise<void> => breakFolder(directory, writes),
    mend: (): Promise<void> => mendFolder(directory),
    unmount,
  };
}
