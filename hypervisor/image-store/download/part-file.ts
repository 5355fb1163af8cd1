import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { ImageDescription } from '../../../domain/image.ts';
import { readBootId } from '../../files/boot-id.ts';
import type { SignatureCheck } from '../../signatures/signature-verifier.ts';
import { type BlockRing, blockRing } from './block-ring.ts';
import { type Checkpoint, checkpointOf } from './checkpoint.ts';
import { heldBytes, type PartState, readPartState, writePartState } from './part-state.ts';

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

/** Opens the partial file at the byte that it can be continued from; what is behind it was never promised, and goes. */
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
      bootId: await readBootId(),
      verified: false,
      signedBy: null,
    });
    if (held === 0) state.validator = null;
    // Before the first byte: from now on what is in the file is known to be of this image, and of this boot.
    await writePartState(partPath, state);
    const ring = blockRing(file, image.digest?.algorithm ?? 'sha256', signature);
    return partFile({ partPath, file, state, held, ring, checkpoint: checkpointOf(file, partPath, state) });
  } catch (error) {
    await file.close();
    throw error;
  }
}

interface OpenPart {
  readonly partPath: string;
  readonly file: FileHandle;
  readonly state: PartState;
  readonly held: number;
  readonly ring: BlockRing;
  readonly checkpoint: Checkpoint;
}

function partFile({ partPath, file, state, held, ring, checkpoint }: OpenPart): PartFile {
  const { position } = ring;
  /** Has everything that was taken written, and the file as long as that. The next sync waits for the one before. */
  const settleAll = async (): Promise<void> => {
    await checkpoint.ended();
    await ring.settle();
    // Zeros at the end were not written.
    if ((await file.stat()).size < position()) await file.truncate(position());
  };
  return {
    path: partPath,
    state,
    heldBytes: held,
    position,
    async takeUp(show, signal) {
      while (position() < held) {
        signal.throwIfAborted();
        const taken = await ring.takeUp(held - position(), show);
        if (taken === 0) throw new Error(`${partPath} became shorter while it was read`);
      }
      await ring.settle();
      checkpoint.countFrom(held);
    },
    async append(bytes) {
      await ring.append(bytes);
      if (!checkpoint.isDue(position())) return;
      await settleAll();
      checkpoint.start(position());
    },
    async startOver(changes) {
      await checkpoint.ended();
      await ring.settle();
      await checkpoint.clear(changes);
      await ring.restart();
      checkpoint.countFrom(0);
    },
    async note() {
      await settleAll();
      await checkpoint.note(position());
    },
    digest: ring.digest,
    hasSignature: ring.hasSignature,
    async close() {
      await Promise.allSettled([ring.close(), checkpoint.ended()]);
      await file.close();
    },
  };
}
