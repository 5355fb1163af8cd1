import { open } from 'node:fs/promises';
import { EverbootFailure } from '../../domain/failures.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { runProgram } from '../run-program.ts';
import { timeForBytesMs } from '../time-for-bytes.ts';
import type { DiskFile } from './disk-context.ts';

/** Where every ext2, ext3 and ext4 has its magic number, and what it is. */
const extMagic = { offset: 1024 + 0x38, value: 0xef53 } as const;

/**
 * Looks whether a new ext2, ext3 or ext4 is whole. mke2fs keeps blocks in memory, and ends with success though the write
 * of one of them failed, for want of room or by a broken disk; the programs of the other file systems fail then. The look
 * is short, since the file system is empty. Throws HostIoError: made once more, it may be whole.
 */
export async function checkNewFileSystem(disk: DiskFile, { signal }: WorkControl): Promise<void> {
  const { path, sizeBytes, heldLocks } = disk;
  // By what is there, and not by what was asked for: a host's own command may make anything.
  if (!(await hasExtFileSystem(path))) return;
  try {
    await runProgram('e2fsck', ['-f', '-n', path], { signal, heldLocks, timeoutMs: timeForBytesMs(sizeBytes) });
  } catch (error) {
    if (!(error instanceof EverbootFailure) || error.code !== 'ProgramFailed') throw error;
    throw new EverbootFailure('HostIoError', `the new file system of ${path} is not whole: ${error.message}`, {
      cause: error,
    });
  }
}

async function hasExtFileSystem(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const magic = Buffer.alloc(2);
    await file.read(magic, 0, magic.length, extMagic.offset);
    return magic.readUInt16LE() === extMagic.value;
  } finally {
    await file.close();
  }
}
