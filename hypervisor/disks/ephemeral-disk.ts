import type { InstanceDisk, PlannedEphemeralDisk } from '../../domain/disk-plan.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { type FormatDisk, makeBlankBase, makeBlankDisk } from './blank-disk.ts';
import type { DiskContext } from './disk-context.ts';
import { makeFileSystem } from './make-file-system.ts';

type EphemeralShape = Pick<PlannedEphemeralDisk, 'sizeBytes' | 'fileSystem' | 'label'>;

/** Makes the formatted base of an ephemeral disk in the cache. Throws HostUnsuitable, ProgramMissing. */
export async function makeEphemeralBase(
  path: string,
  shape: EphemeralShape,
  heldLocks: readonly number[],
  control: WorkControl,
): Promise<void> {
  await makeBlankBase({ path, sizeBytes: shape.sizeBytes, heldLocks }, withFileSystem(shape, control));
}

/**
 * Makes an ephemeral disk with its file system: `backingFile` is the formatted base that a qcow2 lies on, null for a raw
 * disk. Throws HostUnsuitable, ProgramMissing, InsufficientSpace, InstanceExists (another disk has the name).
 */
export async function makeEphemeralDisk(
  disk: PlannedEphemeralDisk,
  backingFile: string | null,
  context: DiskContext,
  control: WorkControl,
): Promise<InstanceDisk> {
  return await makeBlankDisk({ ...disk, backingFile }, withFileSystem(disk, control), context, control);
}

function withFileSystem({ fileSystem, label }: EphemeralShape, control: WorkControl): FormatDisk {
  return (disk) => makeFileSystem({ ...disk, fileSystem, label }, control);
}
