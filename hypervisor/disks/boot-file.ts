import type { InstanceDisk, PlannedBootFile } from '../../domain/disk-plan.ts';
import type { BaseImage } from '../../domain/image.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { copyFile } from '../files/copy-file.ts';
import type { DiskContext } from './disk-context.ts';
import { findMadeBlankDisk, madeDisk } from './made-disk.ts';
import { publishDisk } from './publish-disk.ts';

/**
 * Copies a kernel or a ramdisk out of the cache, byte by byte the same; no space is reserved for what is never written.
 * Throws InsufficientSpace, InstanceExists (another file has the name).
 */
export async function copyBootFile(
  { name }: PlannedBootFile,
  base: BaseImage,
  context: DiskContext,
  control: WorkControl,
): Promise<InstanceDisk> {
  const wanted = { name, format: 'raw', backingFile: null, sizeBytes: base.virtualSizeBytes } as const;
  const made = await findMadeBlankDisk(wanted, context, control);
  if (made !== undefined) return made;
  const path = `${context.directory}/${name}`;
  const { heldLocks } = context;
  await publishDisk(
    { path, sizeBytes: base.virtualSizeBytes },
    { ...context, preallocate: 'none' },
    control,
    (destination) => copyFile({ source: base.path, destination, heldLocks }, control),
  );
  return madeDisk(wanted, path, base.virtualSizeBytes);
}
