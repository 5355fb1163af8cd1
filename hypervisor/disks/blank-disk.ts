import { truncate } from 'node:fs/promises';
import type { DiskFormat, InstanceDisk } from '../../domain/disk-plan.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { createOverlay } from '../programs/qemu-img.ts';
import type { DiskContext, DiskFile } from './disk-context.ts';
import { findMadeBlankDisk, madeDisk } from './made-disk.ts';
import { makeEmptyFile, publishDisk } from './publish-disk.ts';

/** There is nothing of anybody's in it, and QEMU must be able to read it below the disks of several guests. */
const baseMode = 0o644;

/** Puts a file system or a swap area on a raw disk of zeros. */
export type FormatDisk = (disk: DiskFile) => Promise<void>;

/**
 * Makes a formatted file that overlays can be backed by. Its path is a temporary one, and the image store commits it: a
 * base that had its name too early would stay without a file system for everybody after a crash.
 */
export async function makeBlankBase(file: DiskFile, format: FormatDisk): Promise<void> {
  await makeEmptyFile(file.path, baseMode, file.sizeBytes);
  await format(file);
}

export interface BlankDiskOrder {
  readonly name: string;
  readonly format: DiskFormat;
  readonly sizeBytes: number;
  /** The formatted file in the cache that backs a qcow2; null for raw, which is formatted itself. */
  readonly backingFile: string | null;
}

/** Makes a disk of an instance that holds nothing of an image: an overlay on a formatted base, or a formatted file. */
export async function makeBlankDisk(
  order: BlankDiskOrder,
  format: FormatDisk,
  context: DiskContext,
  control: WorkControl,
): Promise<InstanceDisk> {
  const { backingFile, sizeBytes } = order;
  if ((order.format === 'qcow2') !== (backingFile !== null)) {
    throw new EverbootFailure(
      'InternalError',
      `${order.name} is ${order.format}: only a qcow2 is backed by a formatted base`,
    );
  }
  const made = await findMadeBlankDisk(order, context, control);
  if (made !== undefined) return made;

  const { heldLocks } = context;
  const path = `${context.directory}/${order.name}`;
  await publishDisk({ path, sizeBytes }, context, control, async (temporaryPath) => {
    if (backingFile === null) {
      await truncate(temporaryPath, sizeBytes);
      await format({ path: temporaryPath, sizeBytes, heldLocks });
    } else {
      const overlay = { path: temporaryPath, backingFile, backingFormat: 'raw', sizeBytes } as const;
      await createOverlay({ ...overlay, clusterSizeBytes: null, heldLocks }, control);
    }
  });
  return madeDisk(order, path, sizeBytes);
}
