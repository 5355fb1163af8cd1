import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { publishFile } from '../../hypervisor/files/publish-file.ts';
import { isThere } from '../../hypervisor/files/small-file.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { findGuestKernel } from './guest-modules.ts';
import { guestScripts, makeBootPartition, makeDisk, makeInitrd, makeRootPartition } from './guest-partitions.ts';

const convertTimeoutMs = 60_000;

export interface GuestImage {
  readonly path: string;
  /** `sha256:<hex>` */
  readonly digest: string;
  readonly sizeBytes: number;
  /** False: an earlier run made it. */
  readonly isNew: boolean;
}

/**
 * Makes a small disk image that boots by itself and reports on its console what it sees: syslinux, a kernel and its
 * first file system on a FAT partition, busybox on an ext4 root. It is made of the unpacked packages in `guestRoot`,
 * without root's rights and without mounting anything, and kept in `folder` under the digest of what it was made of.
 *
 * Throws HostUnsuitable (no kernel there), ProgramMissing, ProgramFailed.
 */
export async function makeGuestImage(guestRoot: string, folder: string, signal: AbortSignal): Promise<GuestImage> {
  const parts = await findGuestKernel(guestRoot);
  const busybox = join(guestRoot, 'bin', 'busybox');
  const path = join(folder, `tiny-guest-${await inputsDigest([parts.kernel, busybox])}.qcow2`);
  const isNew = !(await isThere(path));
  if (isNew) {
    await mkdir(folder, { recursive: true });
    // What an earlier release made is of no use any more, nor is what a crash left partial.
    for (const old of await readdir(folder)) await rm(join(folder, old), { recursive: true, force: true });
    const work = await mkdtemp(join(folder, '.work-'));
    try {
      const initrd = await makeInitrd(work, { ...parts, busybox }, signal);
      const boot = await makeBootPartition(work, { kernel: parts.kernel, initrd }, signal);
      const root = await makeRootPartition(work, busybox, signal);
      const disk = await makeDisk(work, { boot, root }, signal);
      await publishFile(path, async (temporaryPath) => {
        const args = ['convert', '-f', 'raw', '-O', 'qcow2', disk, temporaryPath];
        await runProgram('qemu-img', args, { signal, timeoutMs: convertTimeoutMs });
      });
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
  const digest = createHash('sha256').update(await readFile(path));
  return { path, digest: `sha256:${digest.digest('hex')}`, sizeBytes: (await stat(path)).size, isNew };
}

/** Changes with whatever goes into the image, and with how it is made. */
async function inputsDigest(files: readonly string[]): Promise<string> {
  const own = ['guest-image.ts', 'guest-modules.ts', 'guest-partitions.ts'].map((name) =>
    join(import.meta.dirname, name),
  );
  const texts = (await readdir(guestScripts)).toSorted().map((name) => join(guestScripts, name));
  const digest = createHash('sha256');
  for (const file of [...files, ...own, ...texts]) digest.update(`${basename(file)}\n`).update(await readFile(file));
  return digest.digest('hex').slice(0, 12);
}
