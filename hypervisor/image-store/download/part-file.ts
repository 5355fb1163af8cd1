import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { ImageDescription } from '../../../domain/image.ts';
import type { SignatureCheck } from '../../signatures/signature-verifier.ts';
import { type BlockHasher, startBlockHasher } from './block-hasher.ts';
import { heldBytes, type PartState, readPartState, thisBoot, unsettledBytes, writePartState } from './part-state.ts';
import { writeSparsely } from './write-sparsely.ts';

/** Small pieces are merged into blocks; while one is filled, others are written and hashed. */
const blockBytes = 2 ** 20;
const blockCount = unsettledBytes / blockBytes;

/**
 * How much a crash of the machine may cost, in time and in bytes; that of the worker costs next to nothing. It also bounds
 * how much of the page cache waits to be written.
 */
const checkpointMs = 5000;
const checkpointBytes = 2 ** 30;

/** The partial file of a fetch: bytes are appended, hashed and, now and then, made safe. */
export interface PartFile {
  readonly path: string;
  readonly state: PartState;
  /** How many bytes an earlier attempt has left. */
  readonly heldBytes: number;
  /** How many bytes of the image were taken. */
  position(): number;
  /** Hashes what is on disk already, and shows each piece of it. Has to come first. */
  takeUp(show: (bytes: Uint8Array) => void, signal: AbortSignal): Promise<void>;
  /** Takes a piece; the pieces wait for the disk when it is slow. */
  append(bytes: Uint8Array): Promise<void>;
  /** Throws everything away and begins at the first byte. */
  startOver(changes: Partial<PartState>): Promise<void>;
  /** Says in the sidecar that everything taken was written; waits for no disk. */
  note(): Promise<void>;
  /** The digest of everything that was taken, as hex, once. */
  digest(): Promise<string>;
  /** Whether everything that was taken has the signature that was given, once. */
  hasSignature(): Promise<boolean>;
  close(): Promise<void>;
}

/** Opens the partial file at the byte that it can be gone on from; what is behind it was never promised, and goes. */
export async function openPartFile(
  partPath: string,
  image: ImageDescription,
  signature: SignatureCheck | null = null,
): Promise<PartFile> {
  const state = await readPartState(partPath, image);
  const file = await open(partPath, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o640);
  try {
    const { size } = await file.stat();
    const held = await heldBytes(state, size);
    await file.truncate(held);
    const syncedBytes = Math.min(state.syncedBytes, held);
    Object.assign(state, {
      syncedBytes,
      writtenBytes: held,
      bootId: await thisBoot(),
      verified: false,
      signedBy: null,
    });
    if (held === 0) state.validator = null;
    // Before the first byte: from now on what is in the file is known to be of this image, and of this boot.
    await writePartState(partPath, state);
    const hasher = startBlockHasher(image.digest?.algorithm ?? 'sha256', blockCount, blockBytes, signature);
    return partFile({ partPath, file, state, hasher, held });
  } catch (error) {
    await file.close();
    throw error;
  }
}

interface OpenPart {
  readonly partPath: string;
  readonly file: FileHandle;
  readonly state: PartState;
  readonly hasher: BlockHasher;
  readonly held: number;
}

function partFile({ partPath, file, state, hasher, held }: OpenPart): PartFile {
  const busy: Promise<void>[] = hasher.blocks.map(() => Promise.resolve());
  let block = 0;
  let filled = 0;
  let position = 0;
  let last = { position: 0, timeMs: Date.now() };
  let syncing = Promise.resolve();

  /** Hands the current block to the disk and the hasher, and takes the next one, as soon as that is free. */
  const passOn = async (isOnDisk: boolean): Promise<void> => {
    const [given, bytes] = [block, hasher.blocks[block]?.subarray(0, filled) as Uint8Array];
    const write = isOnDisk ? Promise.resolve() : writeSparsely(file, bytes, position - filled);
    // Both have to be over before the block is free, or the file closed.
    const work = Promise.allSettled([write, hasher.update(given, filled)]).then((results) => {
      for (const result of results) if (result.status === 'rejected') throw result.reason;
    });
    busy[given] = quiet(work);
    filled = 0;
    block = (block + 1) % blockCount;
    await busy[block];
  };
  const settle = async (): Promise<void> => {
    if (filled > 0) await passOn(false);
    await Promise.all(busy);
  };
  const sync = async (upTo: number): Promise<void> => {
    await file.datasync();
    // What was not hashed again yet is no less on disk.
    state.syncedBytes = Math.max(state.syncedBytes, upTo);
    state.writtenBytes = Math.max(state.writtenBytes, upTo);
    await writePartState(partPath, state);
  };
  /** Has everything that was taken written, and the file as long as that. */
  const settleAll = async (): Promise<void> => {
    await settle();
    // Zeros at the end were not written.
    if ((await file.stat()).size < position) await file.truncate(position);
  };
  /** The sync runs on while more is taken; the next one waits for it, so that what is unsafe stays bounded. */
  const beginCheckpoint = async (): Promise<void> => {
    await syncing;
    await settleAll();
    last = { position, timeMs: Date.now() };
    syncing = quiet(sync(position));
  };

  return {
    path: partPath,
    state,
    heldBytes: held,
    position: () => position,
    async takeUp(show, signal) {
      while (position < held) {
        signal.throwIfAborted();
        const bytes = hasher.blocks[block] as Uint8Array;
        const length = Math.min(blockBytes, held - position);
        const { bytesRead } = await file.read(bytes, 0, length, position);
        if (bytesRead === 0) throw new Error(`${partPath} became shorter while it was read`);
        show(bytes.subarray(0, bytesRead));
        filled = bytesRead;
        position += bytesRead;
        await passOn(true);
      }
      await Promise.all(busy);
      last = { position, timeMs: Date.now() };
    },
    async append(bytes) {
      for (let taken = 0; taken < bytes.length; ) {
        const length = Math.min(blockBytes - filled, bytes.length - taken);
        hasher.blocks[block]?.set(bytes.subarray(taken, taken + length), filled);
        taken += length;
        filled += length;
        position += length;
        if (filled === blockBytes) await passOn(false);
      }
      if (position - last.position >= checkpointBytes || Date.now() - last.timeMs >= checkpointMs)
        await beginCheckpoint();
    },
    async startOver(changes) {
      await syncing;
      await settle();
      // The sidecar first, without a boot: a crash in between must not leave old bytes that count for new ones.
      Object.assign(state, { syncedBytes: 0, writtenBytes: 0, bootId: '', validator: null, ...changes });
      await writePartState(partPath, state);
      await file.truncate(0);
      state.bootId = await thisBoot();
      await writePartState(partPath, state);
      await hasher.restart();
      position = 0;
      last = { position, timeMs: Date.now() };
    },
    async note() {
      await syncing;
      await settleAll();
      state.writtenBytes = Math.max(state.writtenBytes, position);
      await writePartState(partPath, state);
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
      await Promise.allSettled([...busy, syncing]);
      await hasher.stop();
      await file.close();
    },
  };
}

/** A failure is thrown where the promise is awaited, which may be later than Node waits for somebody to care. */
function quiet(work: Promise<void>): Promise<void> {
  work.catch(() => undefined);
  return work;
}
