import { stat } from 'node:fs/promises';
import type { DiskFormat, InstanceDisk } from '../../domain/disk-plan.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { isThere } from '../files/small-file.ts';
import { imageInfo } from '../programs/qemu-img.ts';
import type { DiskContext } from './disk-context.ts';

export interface WantedDisk {
  readonly name: string;
  readonly format: DiskFormat;
  /** Null: the disk stands alone. */
  readonly backingFile: string | null;
}

/**
 * The disk that an earlier run of the same step has made; undefined if there is none. Its name is final, so it is
 * whole. Throws InstanceExists if a file of that name is there that this step would not have made; it is left as it is.
 */
export async function findMadeDisk(
  wanted: WantedDisk,
  { directory, heldLocks }: DiskContext,
  control: WorkControl,
): Promise<InstanceDisk | undefined> {
  const { name, format, backingFile } = wanted;
  const path = `${directory}/${name}`;
  if (!(await isThere(path))) return undefined;
  // Whatever a guest has written into a raw disk by now, its size is that of its file.
  if (format === 'raw') return { name, path, format, virtualSizeBytes: (await stat(path)).size };
  const info = await imageInfo(path, format, { heldLocks }, control);
  if ((info.backingFile ?? null) !== backingFile) {
    throw unexpected(path, `is backed by ${info.backingFile ?? 'nothing'}, expected ${backingFile ?? 'nothing'}`);
  }
  return madeDisk(wanted, path, info.virtualSizeBytes);
}

/** The same for a disk that cannot grow any more, because it has a file system: it must have its size. */
export async function findMadeBlankDisk(
  wanted: WantedDisk & { readonly sizeBytes: number },
  context: DiskContext,
  control: WorkControl,
): Promise<InstanceDisk | undefined> {
  const made = await findMadeDisk(wanted, context, control);
  if (made !== undefined && made.virtualSizeBytes !== wanted.sizeBytes) {
    throw unexpected(made.path, `has ${made.virtualSizeBytes} bytes, expected ${wanted.sizeBytes}`);
  }
  return made;
}

export function madeDisk(
  { name, format, backingFile }: WantedDisk,
  path: string,
  virtualSizeBytes: number,
): InstanceDisk {
  return { name, path, format, virtualSizeBytes, ...(backingFile === null ? {} : { backingFile }) };
}

function unexpected(path: string, problem: string): EverbootFailure {
  return new EverbootFailure('InstanceExists', `${path} is there already, but ${problem}`);
}
