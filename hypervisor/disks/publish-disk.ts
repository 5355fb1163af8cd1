import { open } from 'node:fs/promises';
import type { WorkControl } from '../../domain/step-progress.ts';
import { publishFile } from '../files/publish-file.ts';
import type { DiskContext } from './disk-context.ts';
import { preallocate } from './preallocate.ts';

/** A guest's disk is nobody's to read but the host's; libvirt gives the file to QEMU's user when the guest starts. */
const diskMode = 0o640;

/**
 * Makes a disk under a temporary name and gives it its final one when it is whole, see `publishFile`. `write` gets the
 * name of an empty file, so that the disk's mode is right before its first byte.
 */
export async function publishDisk(
  { path, sizeBytes }: { readonly path: string; readonly sizeBytes: number },
  context: DiskContext,
  control: WorkControl,
  write: (temporaryPath: string) => Promise<void>,
): Promise<void> {
  await publishFile(path, async (temporaryPath) => {
    await makeEmptyFile(temporaryPath, diskMode);
    await write(temporaryPath);
    if (context.preallocate === 'space') {
      await preallocate({ path: temporaryPath, sizeBytes, heldLocks: context.heldLocks }, control);
    }
  });
}

/** Makes a new file, of this length but without any content. */
export async function makeEmptyFile(path: string, mode: number, sizeBytes = 0): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.truncate(sizeBytes);
  } finally {
    await file.close();
  }
}
