import { stat } from 'node:fs/promises';
import { EverbootFailure } from '../../domain/failures.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { runProgram } from '../process/run-program.ts';
import { timeForBytesMs } from '../process/time-for-bytes.ts';
import { syncPath } from './publish-file.ts';

/** The kernel does one step to its end whatever signal comes, so this is how long a cancelled step is waited for. */
const stepBytes = 64 * 2 ** 20;

/** How much is zeroed by one run of the program, which reports no progress. */
const pieceBytes = 512 * 2 ** 20;

/** As Nova's `volume_clear = shred`. */
const shredPasses = 3;

export interface DeviceRange {
  readonly path: string;
  /** Where it begins; whole sectors, like the length. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly heldLocks: readonly number[];
}

/** Whether a path leads to a block device. */
export async function isDevice(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isBlockDevice(),
    () => false,
  );
}

/** Throws HostIoError where a path is no block device: every program would do something else with it. */
export async function requireDevice(path: string): Promise<void> {
  if (!(await isDevice(path))) throw new EverbootFailure('HostIoError', `${path} is not there, or no block device`);
}

/**
 * Makes part of a device read as zeros from now on, whatever becomes of the host. The kernel has the disk do it where
 * that can be relied on, else it writes them.
 */
export async function zeroDevice(range: DeviceRange, control: WorkControl): Promise<void> {
  const { path, offsetBytes, lengthBytes, heldLocks } = range;
  if (lengthBytes === 0) return;
  await requireDevice(path);
  let doneBytes = 0;
  while (doneBytes < lengthBytes) {
    const bytes = Math.min(pieceBytes, lengthBytes - doneBytes);
    const where = ['-p', String(stepBytes), '-o', String(offsetBytes + doneBytes), '-l', String(bytes)];
    // Forced, since a device with something on it is what is meant.
    const args = ['--force', '--zeroout', ...where, path];
    await runProgram('blkdiscard', args, { signal: control.signal, heldLocks, timeoutMs: timeForBytesMs(bytes) });
    doneBytes += bytes;
    control.onProgress({ doneBytes, totalBytes: lengthBytes });
  }
  await syncPath(path);
}

/** Writes random bytes over the beginning of a device, again and again. */
export async function shredDevice(
  { path, lengthBytes, heldLocks }: Omit<DeviceRange, 'offsetBytes'>,
  control: WorkControl,
): Promise<void> {
  await requireDevice(path);
  const totalBytes = lengthBytes * shredPasses;
  await runProgram('shred', ['--verbose', '-n', String(shredPasses), '-s', String(lengthBytes), path], {
    signal: control.signal,
    heldLocks,
    timeoutMs: timeForBytesMs(totalBytes),
    onOutput(text) {
      const [, pass, percent = '0'] = [...text.matchAll(/pass (\d+)\/\d+ [^\n]*?(?: (\d+)%)?$/gm)].at(-1) ?? [];
      if (pass === undefined) return;
      control.onProgress({
        doneBytes: Math.round((Number(pass) - 1 + Number(percent) / 100) * lengthBytes),
        totalBytes,
      });
    },
  });
}
