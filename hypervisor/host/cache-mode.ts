import { constants } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { CacheMode } from '../../domain/domain-xml/domain-description.ts';
import { temporaryName } from '../files/publish-file.ts';

const known = new Map<number, Promise<CacheMode>>();

/** The size of an O_DIRECT write that every disk takes. */
const blockBytes = 4096;

/**
 * How QEMU may keep what a guest writes into files of this directory: `none` where the file system can write past the
 * page cache, else `writeback`. It is tried with a file, as Nova's supports_direct_io does, once for each file system.
 */
export async function resolveCacheMode(directory: string): Promise<CacheMode> {
  const { dev } = await stat(directory);
  const answer = known.get(dev) ?? tryDirectWrite(directory);
  known.set(dev, answer);
  try {
    return await answer;
  } catch (error) {
    // A full disk says nothing about the file system, so the next caller tries again.
    known.delete(dev);
    throw error;
  }
}

async function tryDirectWrite(directory: string): Promise<CacheMode> {
  const path = temporaryName(join(directory, 'direct-io'));
  try {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_DIRECT;
    const file = await open(path, flags, 0o600);
    try {
      await file.write(alignedBlock());
    } finally {
      await file.close();
    }
    return 'none';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return 'writeback';
    throw error;
  } finally {
    await rm(path, { force: true });
  }
}

/**
 * O_DIRECT wants memory that begins at a page. A buffer that can grow begins at one, since its room to grow is mapped.
 */
function alignedBlock(): Uint8Array {
  return new Uint8Array(new ArrayBuffer(blockBytes, { maxByteLength: 2 * blockBytes }));
}
