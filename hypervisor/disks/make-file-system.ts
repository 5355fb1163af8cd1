import { statfs } from 'node:fs/promises';
import { EverbootFailure } from '../../domain/failures.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { runProgram } from '../run-program.ts';
import { timeForBytesMs } from '../time-for-bytes.ts';
import type { DiskFile } from './disk-context.ts';

interface FileSystemKind {
  /** The program and its flags. -F and the like: the disk is a file, which some of them ask about. */
  readonly command: readonly [string, ...string[]];
  readonly labelFlag: string;
  readonly maxLabelBytes: number;
}

/** With less room than this, no disk can be formatted. */
const leastRoomBytes = 64 * 1024;

const ext = { labelFlag: '-L', maxLabelBytes: 16 };

/** The file systems that an ephemeral disk may have, as Nova makes them. ntfs is formatted quickly: the disk is empty. */
const fileSystems: Readonly<Record<string, FileSystemKind>> = {
  ext2: { command: ['mkfs.ext2', '-q', '-F'], ...ext },
  ext3: { command: ['mkfs.ext3', '-q', '-F'], ...ext },
  ext4: { command: ['mkfs.ext4', '-q', '-F'], ...ext },
  xfs: { command: ['mkfs.xfs', '-q', '-f'], labelFlag: '-L', maxLabelBytes: 12 },
  vfat: { command: ['mkfs.vfat'], labelFlag: '-n', maxLabelBytes: 11 },
  ntfs: { command: ['mkfs.ntfs', '-q', '-Q', '-F'], labelFlag: '-L', maxLabelBytes: 32 },
};

/**
 * The command that makes a file system with a label, without the disk it is made on.
 * Throws HostUnsuitable for a file system that is not known, or a label that it has no room for.
 */
export function fileSystemCommand(fileSystem: string, label: string): readonly [string, ...string[]] {
  const kind = Object.hasOwn(fileSystems, fileSystem) ? fileSystems[fileSystem] : undefined;
  if (kind === undefined) {
    const known = Object.keys(fileSystems).join(', ');
    throw new EverbootFailure('HostUnsuitable', `hosts do not make the file system ${fileSystem}; expected ${known}`);
  }
  if (Buffer.byteLength(label) > kind.maxLabelBytes) {
    const problem = `the label ${JSON.stringify(label)} is too long for ${fileSystem}, which has room for ${kind.maxLabelBytes} bytes`;
    throw new EverbootFailure('HostUnsuitable', problem);
  }
  return [...kind.command, kind.labelFlag, label];
}

/** Makes a file system on a whole disk that holds nothing yet. */
export async function makeFileSystem(
  disk: DiskFile & { readonly fileSystem: string; readonly label: string },
  control: WorkControl,
): Promise<void> {
  await format(fileSystemCommand(disk.fileSystem, disk.label), disk, control);
}

/** Makes a swap area of a whole disk that holds nothing yet. */
export async function makeSwapArea(disk: DiskFile, control: WorkControl): Promise<void> {
  await format(['mkswap'], disk, control);
}

async function format(
  [program, ...args]: readonly [string, ...string[]],
  { path, sizeBytes, heldLocks }: DiskFile,
  { signal }: WorkControl,
): Promise<void> {
  const limits = { fileSizeBytes: sizeBytes };
  try {
    await runProgram(program, [...args, path], { signal, heldLocks, limits, timeoutMs: timeForBytesMs(sizeBytes) });
  } catch (error) {
    throw (await isFileSystemFull(path)) ? fullFailure(path, error) : error;
  }
}

/** Some of these programs fail on a full disk without saying so: mkswap is "unable to erase bootbits sectors". */
async function isFileSystemFull(path: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize < leastRoomBytes;
}

function fullFailure(path: string, error: unknown): unknown {
  if (!(error instanceof EverbootFailure) || error.code !== 'ProgramFailed') return error;
  return new EverbootFailure('InsufficientSpace', `no room is left for ${path}: ${error.message}`, { cause: error });
}
