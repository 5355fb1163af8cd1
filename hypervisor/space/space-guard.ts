import { statfs } from 'node:fs/promises';
import { EverbootFailure } from '../../domain/failures.ts';
import { spaceText } from '../../domain/sizes.ts';
import type { WorkControl } from '../../domain/step-progress.ts';

const lookEveryMs = 500;

/**
 * Does work that writes into a folder's file system, and stops it when less than the reserve is left there. What is
 * promised before the first byte is only as true as what the source says of itself: a small image may unpack to a large
 * one, and a server need not say how much it sends. Throws InsufficientSpace.
 */
export async function keepingReserve<Made>(
  folder: string,
  reservedBytes: number,
  control: WorkControl,
  work: (control: WorkControl) => Promise<Made>,
): Promise<Made> {
  const stop = new AbortController();
  const timer = setInterval(async () => {
    const freeBytes = await statfs(folder).then(
      ({ bavail, bsize }) => bavail * bsize,
      () => Number.POSITIVE_INFINITY,
    );
    if (freeBytes >= reservedBytes || stop.signal.aborted) return;
    const found = `${spaceText(freeBytes)} are left in ${folder}, and reserved_disk_mb keeps ${spaceText(reservedBytes)} free`;
    stop.abort(new EverbootFailure('InsufficientSpace', `the step was stopped: ${found}`));
  }, lookEveryMs);
  try {
    return await work({ ...control, signal: AbortSignal.any([control.signal, stop.signal]) });
  } catch (error) {
    control.signal.throwIfAborted();
    throw stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    clearInterval(timer);
  }
}
