import { open, truncate } from 'node:fs/promises';
import type { InstanceDisk, PlannedRootDisk } from '../../domain/disk-plan.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { refuseSmallDisk } from '../../domain/flavor-limits.ts';
import type { BaseImage } from '../../domain/image.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { copyFile } from '../files/copy-file.ts';
import { convertImage, createOverlay, growImage } from '../programs/qemu-img.ts';
import type { DiskContext } from './disk-context.ts';
import { findMadeDisk, madeDisk } from './made-disk.ts';
import { preallocate } from './preallocate.ts';
import { publishDisk } from './publish-disk.ts';

/**
 * Makes the root disk of its base image: an overlay on it, or a raw copy of it, as large as planned. A disk that is
 * there already is only made larger.
 *
 * Throws FlavorDiskTooSmall, InsufficientSpace, InstanceExists (another disk has the name).
 */
export async function makeRootDisk(
  disk: PlannedRootDisk,
  base: BaseImage,
  context: DiskContext,
  control: WorkControl,
): Promise<InstanceDisk> {
  refuseSmallDisk(disk.sizeBytes, base.virtualSizeBytes);
  const wanted = { name: disk.name, format: disk.format, backingFile: disk.format === 'qcow2' ? base.path : null };
  const sizeBytes = wholeSectors(disk.sizeBytes ?? base.virtualSizeBytes);
  const made = await findMadeDisk(wanted, context, control);
  if (made !== undefined) return await growDisk(made, sizeBytes, context, control);

  const path = `${context.directory}/${disk.name}`;
  const write = disk.format === 'qcow2' ? writeOverlay : writeRawCopy;
  await publishDisk({ path, sizeBytes }, context, control, (temporaryPath) =>
    write(temporaryPath, { base, sizeBytes, heldLocks: context.heldLocks }, control),
  );
  return madeDisk(wanted, path, sizeBytes);
}

/** The base of a disk that is made of one. */
export function baseOf({ name }: PlannedRootDisk, base: BaseImage | null): BaseImage {
  if (base !== null) return base;
  throw new EverbootFailure('InternalError', `${name} is made of a base image, and there is none`);
}

interface RootContent {
  readonly base: BaseImage;
  readonly sizeBytes: number;
  readonly heldLocks: readonly number[];
}

async function writeOverlay(
  path: string,
  { base, sizeBytes, heldLocks }: RootContent,
  control: WorkControl,
): Promise<void> {
  // As Nova does, so that a cluster of the overlay never covers part of a cluster of the base.
  const clusterSizeBytes = base.format === 'qcow2' ? await readClusterSize(base.path) : null;
  const { path: backingFile, format: backingFormat } = base;
  await createOverlay({ path, backingFile, backingFormat, sizeBytes, clusterSizeBytes, heldLocks }, control);
}

async function writeRawCopy(
  path: string,
  { base, sizeBytes, heldLocks }: RootContent,
  control: WorkControl,
): Promise<void> {
  if (base.format === 'raw') {
    await copyFile({ source: base.path, destination: path, heldLocks }, control);
  } else {
    const { path: source, format: sourceFormat, virtualSizeBytes } = base;
    await convertImage({ source, sourceFormat, destination: path, virtualSizeBytes, heldLocks }, control);
  }
  await truncate(path, sizeBytes);
}

/** A raw image may end in the middle of a sector; QEMU shows its guest the whole one. */
export function wholeSectors(bytes: number): number {
  return Math.ceil(bytes / 512) * 512;
}

/** An operator may have given a larger flavor since the disk was made. */
async function growDisk(
  made: InstanceDisk,
  sizeBytes: number,
  context: DiskContext,
  control: WorkControl,
): Promise<InstanceDisk> {
  if (made.virtualSizeBytes >= sizeBytes) return made;
  const file = { path: made.path, sizeBytes, heldLocks: context.heldLocks };
  await growImage({ ...file, format: made.format === 'qcow2' ? 'qcow2' : 'raw' }, control);
  if (context.preallocate === 'space') await preallocate(file, control);
  return { ...made, virtualSizeBytes: sizeBytes };
}

/** Where a qcow2 header keeps the size of its clusters, as a power of two in a big-endian word. */
const clusterBitsOffset = 20;

/** The size of a cluster of a judged qcow2 file, in bytes; read here because a program would take longer. */
async function readClusterSize(path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    const word = Buffer.alloc(4);
    await file.read(word, 0, word.length, clusterBitsOffset);
    return 2 ** word.readUInt32BE();
  } finally {
    await file.close();
  }
}
