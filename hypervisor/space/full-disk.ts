import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EverbootFailure, type FailureCode } from '../../domain/failures.ts';

/** With less room than this, nothing can be written as a disk needs it. */
const leastRoomBytes = 64 * 1024;

/** How programs end that were refused room. */
const vague: readonly FailureCode[] = ['ProgramFailed', 'HostIoError'];

/**
 * Has a file written, and throws InsufficientSpace where that failed and no room is left. Some programs fail on a full
 * disk without saying so: mkswap is "unable to erase bootbits sectors".
 */
export async function reportingFullDisk(path: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!(error instanceof EverbootFailure) || !vague.includes(error.code)) throw error;
    if (!(await isFileSystemFull(path))) throw error;
    throw new EverbootFailure('InsufficientSpace', `no room is left for ${path}: ${error.message}`, { cause: error });
  }
}

async function isFileSystemFull(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  // A device takes nothing of the file system that its node is in.
  if (found?.isFile() === false) return false;
  const { bavail, bsize } = await statfs(dirname(path));
  return bavail * bsize < leastRoomBytes;
}
