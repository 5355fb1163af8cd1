import type { FileHandle } from 'node:fs/promises';
import type { SignatureCheck } from '../../signatures/signature-verifier.ts';
import { startBlockHasher } from './block-hasher.ts';
import { unsettledBytes } from './part-state.ts';
import { writeSparsely } from './write-sparsely.ts';

/** Small pieces are merged into blocks; while one is filled, others are written and hashed. */
const blockBytes = 2 ** 20;
const blockCount = unsettledBytes / blockBytes;

/** A few blocks of memory, filled in turn, through which an image passes into its file and its digest. */
export interface BlockRing {
  /** How many bytes of the image were taken. */
  position(): number;
  /** Takes bytes, to be written and hashed; they wait for the disk when it is slow. */
  append(bytes: Uint8Array): Promise<void>;
  /** Takes up to so many bytes that are on disk already: shows them, and only has them hashed. Returns how many. */
  takeUp(maxBytes: number, show: (bytes: Uint8Array) => void): Promise<number>;
  /** Waits until everything taken was given to the kernel, and hashed. Throws what failed. */
  settle(): Promise<void>;
  /** Forgets everything: the next byte is the image's first. Call it when it is settled. */
  restart(): Promise<void>;
  /** The digest of everything that was taken, as hex, once. */
  digest(): Promise<string>;
  /** Whether everything that was taken has the signature that was given, once. */
  hasSignature(): Promise<boolean>;
  /** Waits for whatever is under way, however it ends, and stops the thread that hashes. */
  close(): Promise<void>;
}

/** Starts at the image's first byte. Memory is the ring's, however long the image. */
export function blockRing(file: FileHandle, algorithm: string, signature: SignatureCheck | null): BlockRing {
  const hasher = startBlockHasher(algorithm, blockCount, blockBytes, signature);
  const busy: Promise<void>[] = hasher.blocks.map(() => Promise.resolve());
  let block = 0;
  let filled = 0;
  let position = 0;
  const filling = (): Uint8Array => hasher.blocks[block] as Uint8Array;

  /** Hands the current block to the disk and the hasher, and takes the next one, as soon as that is free. */
  const passOn = async (isOnDisk: boolean): Promise<void> => {
    const bytes = filling().subarray(0, filled);
    const write = isOnDisk ? Promise.resolve() : writeSparsely(file, bytes, position - filled);
    const work = bothOf(write, hasher.update(block, filled));
    // A failure is thrown where the block is needed again, which may be later than Node waits for a handler.
    work.catch(() => undefined);
    busy[block] = work;
    filled = 0;
    block = (block + 1) % blockCount;
    await busy[block];
  };
  const settle = async (): Promise<void> => {
    if (filled > 0) await passOn(false);
    await Promise.all(busy);
  };

  return {
    position: () => position,
    async append(bytes) {
      for (let taken = 0; taken < bytes.length; ) {
        const length = Math.min(blockBytes - filled, bytes.length - taken);
        filling().set(bytes.subarray(taken, taken + length), filled);
        taken += length;
        filled += length;
        position += length;
        if (filled === blockBytes) await passOn(false);
      }
    },
    async takeUp(maxBytes, show) {
      const bytes = filling();
      const { bytesRead } = await file.read(bytes, 0, Math.min(blockBytes, maxBytes), position);
      if (bytesRead === 0) return 0;
      show(bytes.subarray(0, bytesRead));
      filled = bytesRead;
      position += bytesRead;
      await passOn(true);
      return bytesRead;
    },
    settle,
    async restart() {
      await hasher.restart();
      position = 0;
    },
    async digest() {
      await settle();
      return await hasher.digest();
    },
    async hasSignature() {
      await settle();
      return await hasher.hasSignature();
    },
    async close() {
      await Promise.allSettled(busy);
      await hasher.stop();
    },
  };
}

/** Both have to be over before the block is free, or the file closed. */
async function bothOf(write: Promise<void>, hash: Promise<void>): Promise<void> {
  for (const result of await Promise.allSettled([write, hash])) if (result.status === 'rejected') throw result.reason;
}
