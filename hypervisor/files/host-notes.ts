import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import { lockKeys } from '../locks/lock-keys.ts';
import { withLock } from '../locks/with-lock.ts';
import { publishText, removeTemporaryFilesIn } from './publish-file.ts';

/** A note is some hundred bytes; whoever holds the lock for longer was stopped. */
const waitMs = 10_000;

/**
 * Writes one of the host's notes (of a cached file, a fetch, a refusal, a promise of space) while it is known that
 * somebody does: `removePartialNotes` keeps off. Throws HostIoError where notes have been cleared for ten seconds.
 */
export async function whileWritingNotes<Made>(paths: HostPaths, write: () => Promise<Made>): Promise<Made> {
  const whenBusy = (): never => {
    throw new EverbootFailure('HostIoError', 'the host’s notes have been locked for 10 s');
  };
  return await withLock(paths, lockKeys.notes, { shared: true, waitMs, whenBusy }, write);
}

/** Writes a note whole, see `publishText`. */
export async function publishNote(paths: HostPaths, path: string, text: string, mode = 0o640): Promise<void> {
  await whileWritingNotes(paths, () => publishText(path, text, mode));
}

/**
 * Removes the partial notes of killed workers: where nobody writes one, each of them is somebody's who is no more. A
 * worker that was stopped in the middle of one keeps the lock, and then all stay until another time.
 */
export async function removePartialNotes(paths: HostPaths): Promise<void> {
  await withLock(paths, lockKeys.notes, { waitMs, whenBusy: () => undefined }, async () => {
    const { refusals, fetches, bases, scrubs, ledger } = paths;
    for (const folder of [refusals, fetches, bases, scrubs, ledger]) await removeTemporaryFilesIn(folder);
  });
}
