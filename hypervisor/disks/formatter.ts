import type { PlannedBlankDisk } from '../../domain/disk-plan.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import type { FormatDisk } from './blank-disk.ts';
import { makeFileSystem, makeSwapArea } from './make-file-system.ts';

/** What puts a blank disk's content on a device or a file of zeros: a file system with its label, or a swap area. */
export function formatterOf(disk: PlannedBlankDisk, control: WorkControl): FormatDisk {
  if (disk.kind === 'swap') return (file) => makeSwapArea(file, control);
  const { fileSystem, label } = disk;
  return (file) => makeFileSystem({ ...file, fileSystem, label }, control);
}
