import type { FileHandle } from 'node:fs/promises';
import { readBootId } from '../../files/boot-id.ts';
import { type PartState, writePartState } from './part-state.ts';

/**
 * How much a crash of the host may cost, in time and in bytes; that of the worker costs next to nothing. It also bounds
 * how much of the page cache waits to be written.
 */
const intervalMs = 5000;
const intervalBytes = 2 ** 30;

/** Keeps the sidecar of a part true: what it counts of the file is there after a crash. */
export interface Checkpoint {
  /** Whether so much was taken, or so long ago, since the last sync that the next one is due. */
  isDue(position: number): boolean;
  /** Starts to sync the file, in which everything before that byte was written. It runs on while more is taken. */
  start(position: number): void;
  /** Waits for the sync that was started last. Throws what failed. */
  ended(): Promise<void>;
  /** Counts the bytes and the time until the next sync from that byte, and from now. */
  countFrom(position: number): void;
  /** Says that everything before that byte was written; waits for no disk. */
  note(position: number): Promise<void>;
  /** Says that nothing of the file counts any more, and empties it. */
  clear(changes: Partial<PartState>): Promise<void>;
}

/** Of an open part, whose state it changes and writes. */
export function checkpointOf(file: FileHandle, partPath: string, state: PartState): Checkpoint {
  let last = { position: 0, timeMs: Date.now() };
  let syncing = Promise.resolve();
  const countFrom = (position: number): void => {
    last = { position, timeMs: Date.now() };
  };
  const sync = async (position: number): Promise<void> => {
    await file.datasync();
    // What was not hashed again yet is no less on disk.
    state.syncedBytes = Math.max(state.syncedBytes, position);
    state.writtenBytes = Math.max(state.writtenBytes, position);
    await writePartState(partPath, state);
  };
  return {
    isDue: (position) => position - last.position >= intervalBytes || Date.now() - last.timeMs >= intervalMs,
    start(position) {
      countFrom(position);
      syncing = sync(position);
      // A failure is thrown by `ended`, which may be later than Node waits for a handler.
      syncing.catch(() => undefined);
    },
    ended: () => syncing,
    countFrom,
    async note(position) {
      state.writtenBytes = Math.max(state.writtenBytes, position);
      await writePartState(partPath, state);
    },
    async clear(changes) {
      // The sidecar first, without a boot: a crash in between must not leave old bytes that count for new ones.
      Object.assign(state, { syncedBytes: 0, writtenBytes: 0, bootId: '', validator: null, ...changes });
      await writePartState(partPath, state);
      await file.truncate(0);
      state.bootId = await readBootId();
      await writePartState(partPath, state);
    },
  };
}
