import { Worker } from 'node:worker_threads';
import type { WorkControl } from '../../../domain/step-progress.ts';

export interface HashFileData {
  readonly path: string;
  readonly bytesPerSecond: number;
}

export type HashFileMessage =
  | { readonly kind: 'progress'; readonly doneBytes: number; readonly totalBytes: number }
  | { readonly kind: 'done'; readonly hash: string; readonly sizeBytes: number; readonly inode: number }
  | {
      readonly kind: 'failed';
      readonly code: string | null;
      readonly errno: number | null;
      readonly message: string;
    };

export interface HashedFile {
  readonly hash: string;
  readonly sizeBytes: number;
  /** Which file it was that the path led to. */
  readonly inode: number;
}

/**
 * Hashes a cached file on a thread of its own: SHA-256 over its size and each piece that is not zero, with its place.
 * So two files that hold the same bytes have the same hash, wherever their holes are. Data is read at no more than the
 * rate.
 *
 * Throws the operating system's error (EIO, ENOENT) with its code and number, and the signal's reason.
 */
export async function hashFile(data: HashFileData, control: WorkControl): Promise<HashedFile> {
  control.signal.throwIfAborted();
  const thread = new Worker(new URL('./hash-file-thread.ts', import.meta.url), { workerData: data, execArgv: [] });
  const ended = Promise.withResolvers<HashedFile>();
  const stop = (): void => ended.reject(control.signal.reason);
  control.signal.addEventListener('abort', stop, { once: true });
  thread.on('message', (message: HashFileMessage) => {
    if (message.kind === 'progress') control.onProgress(message);
    else if (message.kind === 'done') ended.resolve(message);
    else ended.reject(failureOf(message));
  });
  thread.on('error', (error) => ended.reject(error));
  thread.on('exit', () => ended.reject(new Error('the thread that hashes has ended')));
  try {
    const { hash, sizeBytes, inode } = await ended.promise;
    return { hash, sizeBytes, inode };
  } finally {
    control.signal.removeEventListener('abort', stop);
    await thread.terminate();
  }
}

/** Errors lose what they were given beyond their message on their way between threads. */
function failureOf({ code, errno, message }: Extract<HashFileMessage, { kind: 'failed' }>): Error {
  return Object.assign(new Error(message), { code: code ?? undefined, errno: errno ?? undefined });
}
