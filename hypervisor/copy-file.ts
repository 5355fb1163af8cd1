import { stat } from 'node:fs/promises';
import type { WorkControl } from '../domain/step-progress.ts';
import { runProgram } from './run-program.ts';
import { timeForBytesMs } from './time-for-bytes.ts';

const progressIntervalMs = 500;

export interface FileCopy {
  readonly source: string;
  /** Overwritten where it is there; its mode stays. */
  readonly destination: string;
  readonly heldLocks: readonly number[];
}

/**
 * Copies a file and keeps its holes; where the file system can, both share their blocks. `cp` does it, because Node's
 * copyFile fills the holes of a file that it cannot clone, and cannot be stopped. The caller syncs.
 */
export async function copyFile({ source, destination, heldLocks }: FileCopy, control: WorkControl): Promise<void> {
  const { size, blocks } = await stat(source);
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
    await runProgram('cp', ['--reflink=auto', '--sparse=auto', '--', source, destination], {
      signal: control.signal,
      timeoutMs: timeForBytesMs(size),
      // One byte more than it writes, because at the end cp asks the kernel whether there is more.
      limits: { fileSizeBytes: size + 1 },
      heldLocks,
    });
  } finally {
    clearInterval(timer);
  }
  report(totalBytes);
}
