import type { PlannedBlankDisk } from '../../domain/disk-plan.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import type { FormatDisk } from './blank-disk.ts';
import type { DiskContext } from './disk-context.ts';
import { fileSystemCommand, makeFileSystem, makeSwapArea } from './make-file-system.ts';

/**
 * The function that formats a device or a file of zeros as a blank disk: a file system with its label, or a swap area.
 * Throws HostUnsuitable for a disk that cannot have its file system, before anything is made.
 */
export function formatterOf(
  disk: PlannedBlankDisk,
  control: WorkControl,
  { virtMkfs = [] }: Pick<DiskContext, 'virtMkfs'>,
): FormatDisk {
  if (disk.kind === 'swap') return (file) => makeSwapArea(file, control);
  const words = fileSystemCommand(disk, virtMkfs);
  return (file) => makeFileSystem(words, file, control);
}
