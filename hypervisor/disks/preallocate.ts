import type { WorkControl } from '../../domain/step-progress.ts';
import { isFailedProgram } from '../process/program-failure.ts';
import { runProgram } from '../process/run-program.ts';
import { timeForBytesMs } from '../process/time-for-bytes.ts';
import type { DiskFile } from './disk-context.ts';

/** As fallocate of util-linux 2.38.1 says that a file system cannot reserve space. */
const cannotReserve = /not supported|unsupported/;

/**
 * Reserves space for a whole disk on the host, whatever of it is written, as Nova's `preallocate_images = space`. A
 * qcow2 file keeps its length: what is reserved beyond it is what it will grow into. Where the file system cannot
 * reserve, a note says so and the boot continues. Throws InsufficientSpace.
 */
export async function preallocate(
  { path, sizeBytes, heldLocks }: DiskFile,
  { signal, onProgress }: WorkControl,
): Promise<void> {
  try {
    const args = ['--keep-size', '--length', String(sizeBytes), path];
    await runProgram('fallocate', args, { signal, heldLocks, timeoutMs: timeForBytesMs(sizeBytes) });
  } catch (error) {
    if (!isFailedProgram(error) || !cannotReserve.test(error.program.stderrTail)) throw error;
    onProgress({ doneBytes: 0, totalBytes: null, note: 'the file system cannot reserve space (preallocate_images)' });
  }
}
