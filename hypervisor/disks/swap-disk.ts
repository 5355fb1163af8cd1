import type { InstanceDisk, PlannedSwapDisk } from '../../domain/disk-plan.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { makeBlankBase, makeBlankDisk } from './blank-disk.ts';
import type { DiskContext } from './disk-context.ts';
import { makeSwapArea } from './make-file-system.ts';

/** Makes a swap area in the cache, for swap disks of its size to lie on. */
export async function makeSwapBase(
  path: string,
  { sizeBytes }: Pick<PlannedSwapDisk, 'sizeBytes'>,
  heldLocks: readonly number[],
  control: WorkControl,
): Promise<void> {
  await makeBlankBase({ path, sizeBytes, heldLocks }, (disk) => makeSwapArea(disk, control));
}

/**
 * Makes a swap disk: `backingFile` is the swap area that a qcow2 lies on, null for a raw disk.
 * Throws InsufficientSpace, InstanceExists (another disk has the name).
 */
export async function makeSwapDisk(
  disk: PlannedSwapDisk,
  backingFile: string | null,
  context: DiskContext,
  control: WorkControl,
): Promise<InstanceDisk> {
  return await makeBlankDisk({ ...disk, backingFile }, (blank) => makeSwapArea(blank, control), context, control);
}
