import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Inspection } from '../../../hypervisor/image-inspector/inspect-image.ts';
import { inspectImageFile } from '../../../hypervisor/image-inspector/inspect-image-file.ts';
import { runProgram } from '../../../hypervisor/process/run-program.ts';

const timeoutMs = 60_000;
export const limits = { maxVirtualSizeBytes: 2 ** 40 };

/** Real images by qemu-img, one of each kind: a kind's name, the format it is declared as, and how it is made. */
export const kinds = {
  qcow2: { format: 'qcow2', args: ['-O', 'qcow2'] },
  'qcow2 version 2': { format: 'qcow2', args: ['-O', 'qcow2', '-o', 'compat=0.10'] },
  'qcow2 compressed': { format: 'qcow2', args: ['-c', '-O', 'qcow2'] },
  'qcow2 compressed by zstd': { format: 'qcow2', args: ['-c', '-O', 'qcow2', '-o', 'compression_type=zstd'] },
  'qcow2 of small clusters': { format: 'qcow2', args: ['-O', 'qcow2', '-o', 'cluster_size=512'] },
  'qcow2 of small clusters, compressed': { format: 'qcow2', args: ['-c', '-O', 'qcow2', '-o', 'cluster_size=512'] },
  'qcow2 of large clusters': { format: 'qcow2', args: ['-O', 'qcow2', '-o', 'cluster_size=2M'] },
  'qcow2 of large clusters, compressed': { format: 'qcow2', args: ['-c', '-O', 'qcow2', '-o', 'cluster_size=2M'] },
  'qcow2 with preallocated metadata': { format: 'qcow2', args: ['-O', 'qcow2', '-o', 'preallocation=metadata'] },
  'qcow2 with lazy refcounts': { format: 'qcow2', args: ['-O', 'qcow2', '-o', 'lazy_refcounts=on'] },
  'vmdk monolithicSparse': { format: 'vmdk', args: ['-O', 'vmdk'] },
  'vmdk monolithicSparse with zeroed grains': { format: 'vmdk', args: ['-O', 'vmdk', '-o', 'zeroed_grain=on'] },
  'vmdk streamOptimized': { format: 'vmdk', args: ['-O', 'vmdk', '-o', 'subformat=streamOptimized'] },
  'vhd dynamic': { format: 'vhd', args: ['-O', 'vpc'] },
  'vhd dynamic of exact size': { format: 'vhd', args: ['-O', 'vpc', '-o', 'force_size=on'] },
  'vhd fixed': { format: 'vhd', args: ['-O', 'vpc', '-o', 'subformat=fixed'] },
  'vhdx dynamic': { format: 'vhdx', args: ['-O', 'vhdx'] },
  'vhdx fixed': { format: 'vhdx', args: ['-O', 'vhdx', '-o', 'subformat=fixed,block_size=1M'] },
  'vdi dynamic': { format: 'vdi', args: ['-O', 'vdi'] },
  'vdi static': { format: 'vdi', args: ['-O', 'vdi', '-o', 'static=on'] },
  qed: { format: 'qed', args: ['-O', 'qed'] },
} as const satisfies Record<string, { format: string; args: readonly string[] }>;

export type Kind = keyof typeof kinds;

/** QEMU's names where they differ from the images'. */
const drivers: Readonly<Record<string, string>> = { vhd: 'vpc', iso: 'raw' };

export interface Workshop {
  readonly folder: string;
  make(kind: Kind): Promise<string>;
  /** Makes an image of that kind, and another one with its bytes changed: in place, or as `edit` returns them. */
  change(kind: Kind, edit: (bytes: Buffer) => unknown): Promise<string>;
  write(name: string, bytes: Buffer): Promise<string>;
  close(): Promise<void>;
}

/** A folder for images. The disk in all of them has data, holes, and an end in the middle of a cluster. */
export async function openWorkshop(): Promise<Workshop> {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-inspector-'));
  const source = join(folder, 'source.raw');
  await writeFile(source, sampleDisk());
  const made = new Map<Kind, string>();
  let changes = 0;
  const make = async (kind: Kind) => {
    const before = made.get(kind);
    if (before !== undefined) return before;
    const path = join(folder, `made-${made.size}.image`);
    made.set(kind, path);
    await runProgram('qemu-img', ['convert', '-f', 'raw', ...kinds[kind].args, source, path], { timeoutMs });
    return path;
  };
  const write = async (name: string, bytes: Buffer) => {
    const path = join(folder, name);
    await writeFile(path, bytes);
    return path;
  };
  return {
    folder,
    make,
    write,
    async change(kind, edit) {
      const bytes = await readFile(await make(kind));
      const changed = edit(bytes);
      return await write(`changed-${changes++}.image`, Buffer.isBuffer(changed) ? changed : bytes);
    },
    close: () => rm(folder, { recursive: true }),
  };
}

/** 6 MiB and 3 sectors: noise and holes by turns, so that some of it can be compressed and some cannot. */
export function sampleDisk(): Buffer {
  const bytes = Buffer.alloc(6 * 2 ** 20 + 3 * 512);
  const random = randomNumbers(7);
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const part = Math.floor(at / 300_000) % 3;
    if (part !== 1) bytes.writeUInt32LE(part === 0 ? random() : at & 0xff00, at);
  }
  // No mark of a boot record by chance.
  bytes.fill(0, 0, 512);
  return bytes;
}

/** Pseudo-random numbers of 32 bits, the same for the same seed. */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

export async function inspect(path: string, format: string | null): Promise<Inspection> {
  return await inspectImageFile(path, format, limits);
}

/** The virtual size that qemu-img reports. */
export async function qemuSize(path: string, format: string): Promise<number> {
  const args = ['info', '--output=json', '-f', drivers[format] ?? format, path];
  const { stdout } = await runProgram('qemu-img', args, { timeoutMs });
  return JSON.parse(stdout)['virtual-size'];
}
