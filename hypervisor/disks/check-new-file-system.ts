import { open } from 'node:fs/promises';
import type { WorkControl } from '../../domain/step-progress.ts';
import { lookingForLostWrites } from '../files/lost-writes.ts';
import { runProgram } from '../process/run-program.ts';
import { timeForBytesMs } from '../process/time-for-bytes.ts';
import type { DiskFile } from './disk-context.ts';

/** Where every ext2, ext3 and ext4 has its magic number, and what it is. */
const extMagic = { offset: 1024 + 0x38, value: 0xef53 } as const;

/**
 * Looks whether a new ext2, ext3 or ext4 is without errors. mke2fs keeps blocks in memory, and ends with success though
 * the write of one of them failed; the programs of the other file systems fail then. An empty ext4 is looked through in
 * a moment; of an ext2 or ext3 every table of inodes is read. Copies of the superblock are not compared. Throws
 * HostIoError.
 */
export async function checkNewFileSystem(disk: DiskFile, { signal }: WorkControl): Promise<void> {
  const { path, sizeBytes, heldLocks } = disk;
  // By what is there, and not by what was asked for: a host's own command may make anything.
  if (!(await hasExtFileSystem(path))) return;
  await lookingForLostWrites(`the new file system of ${path} is not whole`, async () => {
    await runProgram('e2fsck', ['-f', '-n', path], { signal, heldLocks, timeoutMs: timeForBytesMs(sizeBytes) });
  });
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
