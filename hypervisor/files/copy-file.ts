import { type FileHandle, stat } from 'node:fs/promises';
import type { WorkControl } from '../../domain/step-progress.ts';
import { runProgram } from '../process/run-program.ts';
import { timeForBytesMs } from '../process/time-for-bytes.ts';

const progressIntervalMs = 500;

export interface FileCopy {
  /** A path, or an open file: then that very file is copied, whatever its name leads to by now. */
  readonly source: string | FileHandle;
  /** Overwritten where it is there; its mode stays. */
  readonly destination: string;
  readonly heldLocks: readonly number[];
}

/**
 * Copies a file and keeps its holes; where the file system can, both share their blocks. `cp` does it, because Node's
 * copyFile fills the holes of a file that it cannot clone, and cannot be stopped. The caller syncs.
 */
export async function copyFile({ source, destination, heldLocks }: FileCopy, control: WorkControl): Promise<void> {
  const { size, blocks } = typeof source === 'string' ? await stat(source) : await source.stat();
  const given = typeof source === 'string' ? { path: source } : { path: '/proc/self/fd/3', openFiles: [source.fd] };
  const totalBytes = blocks * 512;
  const report = (doneBytes: number): void =>
    control.onProgress({ doneBytes: Math.min(doneBytes, totalBytes), totalBytes });
  const timer = setInterval(() => {
    stat(destination).then(
      (copy) => report(copy.blocks * 512),
      () => undefined,
    );
  }, progressIntervalMs);
  try {
    await runProgram('cp', ['--reflink=auto', '--sparse=auto', '--', given.path, destination], {
      signal: control.signal,
      timeoutMs: timeForBytesMs(size),
      // One byte more than it writes, because at the end cp asks the kernel whether there is more.
      limits: { fileSizeBytes: size + 1 },
      openFiles: given.openFiles ?? [],
      heldLocks,
    });
  } finally {
    clearInterval(timer);
  }
  report(totalBytes);
}
