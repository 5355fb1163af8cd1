import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../hypervisor/process/run-program.ts';

const timeoutMs = 600_000;
const mebibyte = 2 ** 20;

/** A: 600 MiB of random data in a disk of 2 GiB, as a plain qcow2. Nothing in it compresses. */
export async function makeImageA(folder: string): Promise<string> {
  const path = join(folder, 'A.qcow2');
  if (existsSync(path)) return path;
  await mkdir(folder, { recursive: true });
  const raw = join(folder, 'A.raw');
  const file = await open(raw, 'w');
  await file.truncate(2048 * mebibyte);
  for (let extent = 0; extent < 6; extent += 1) {
    for (let at = 0; at < 100; at += 1) {
      await file.write(randomBytes(mebibyte), 0, mebibyte, (extent * 340 + at) * mebibyte);
    }
  }
  await file.close();
  await runProgram('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, path], { timeoutMs });
  await rm(raw);
  return path;
}

/** B: an ext4 with about 1.4 GB of system files in a disk of 2 GiB, as a compressed qcow2. */
export async function makeImageB(folder: string): Promise<string> {
  const path = join(folder, 'B.qcow2');
  if (existsSync(path)) return path;
  await mkdir(folder, { recursive: true });
  const tree = join(folder, 'tree');
  await rm(tree, { recursive: true, force: true });
  await mkdir(tree);
  await runProgram('cp', ['-a', '/usr/lib/x86_64-linux-gnu', '/usr/bin', tree], { timeoutMs });
  const raw = join(folder, 'B.raw');
  await runProgram('mkfs.ext4', ['-q', '-F', '-L', 'root', '-d', tree, raw, '2G'], { timeoutMs });
  await runProgram('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', raw, path], { timeoutMs });
  await rm(raw);
  await rm(tree, { recursive: true });
  return path;
}
