import type { PlannedEphemeralDisk } from '../../domain/disk-plan.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { type FileSystemName, fileSystemProblem, isFileSystemName } from '../../domain/file-systems.ts';
import { mkfsWords, ownMkfsCommand, targetWord, wordsFor } from '../../domain/mkfs-commands.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { runProgram } from '../process/run-program.ts';
import { timeForBytesMs } from '../process/time-for-bytes.ts';
import { reportingFullDisk } from '../space/full-disk.ts';
import { checkNewFileSystem } from './check-new-file-system.ts';
import type { DiskFile } from './disk-context.ts';

/** The programs and their flags. -F and the like: the disk is a file, which some of them ask about. */
const programs = {
  ext2: ['mkfs.ext2', '-q', '-F', '-L'],
  ext3: ['mkfs.ext3', '-q', '-F', '-L'],
  ext4: ['mkfs.ext4', '-q', '-F', '-L'],
  xfs: ['mkfs.xfs', '-q', '-f', '-L'],
  btrfs: ['mkfs.btrfs', '-q', '-f', '-L'],
  vfat: ['mkfs.vfat', '-n'],
  // -Q: the disk is empty, there is nothing to clear.
  ntfs: ['mkfs.ntfs', '-q', '-Q', '-F', '-L'],
} as const satisfies Record<FileSystemName, readonly string[]>;

/** The properties that shape a formatted ephemeral disk. */
export type EphemeralShape = Pick<PlannedEphemeralDisk, 'sizeBytes' | 'fileSystem' | 'label' | 'osType'>;

/**
 * The words of the command that makes a disk's file system, with the disk's own place still open: the host's command
 * for the os type where it has one, whatever file system is asked for, else that file system's own program. Nova's
 * configurable_mkfs. Throws HostUnsuitable for a file system that is not known, or that the disk cannot have.
 */
export function fileSystemCommand(shape: EphemeralShape, virtMkfs: readonly string[]): readonly string[] {
  const { osType, fileSystem, label } = shape;
  const own = osType === undefined ? undefined : ownMkfsCommand(virtMkfs, osType);
  if (own !== undefined) return mkfsWords(own, label);
  const problem = fileSystemProblem(shape);
  if (problem !== null || !isFileSystemName(fileSystem)) throw new EverbootFailure('HostUnsuitable', `${problem}`);
  return [...programs[fileSystem], label, targetWord];
}

/** Runs a command that makes a file system, on a whole disk that holds nothing yet, and looks whether it is whole. */
export async function makeFileSystem(words: readonly string[], disk: DiskFile, control: WorkControl): Promise<void> {
  await reportingFullDisk(disk.path, async () => {
    await format(wordsFor(words, disk.path), disk, control);
    await checkNewFileSystem(disk, control);
  });
}

/** Makes a swap area of a whole disk that holds nothing yet. */
export async function makeSwapArea(disk: DiskFile, control: WorkControl): Promise<void> {
  await reportingFullDisk(disk.path, () => format(['mkswap', disk.path], disk, control));
}

async function format(
  [program = '', ...args]: readonly string[],
  { sizeBytes, heldLocks }: DiskFile,
  { signal }: WorkControl,
): Promise<void> {
  const limits = { fileSizeBytes: sizeBytes };
  await runProgram(program, args, { signal, heldLocks, limits, timeoutMs: timeForBytesMs(sizeBytes) });
}
