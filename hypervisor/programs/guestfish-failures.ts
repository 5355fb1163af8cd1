import { EverbootFailure } from '../../domain/failures.ts';

/** Until the appliance runs, nothing has looked at what is on the disk. */
export function failureBefore(error: unknown): unknown {
  if (!(error instanceof EverbootFailure) || error.code !== 'ProgramFailed') return error;
  return startFailure(error.message);
}

/**
 * Once it runs, what ends it or keeps it busy is what a tenant put on the disk. What guestfish had said by then is left
 * out, because it may quote a path.
 */
export function failureAtWork(error: unknown, timeoutMs: number): unknown {
  if (!(error instanceof EverbootFailure)) return error;
  if (error.code === 'HostIoError') return new EverbootFailure('HostIoError', 'guestfish was killed by somebody else');
  return error.code === 'ProgramTimedOut'
    ? new EverbootFailure('ImageUnacceptable', `its file systems kept libguestfs busy for ${timeoutMs / 1000} s`)
    : endedFailure(true);
}

export function endedFailure(isLaunched: boolean): EverbootFailure {
  if (!isLaunched) return startFailure('guestfish ended');
  return new EverbootFailure('ImageUnacceptable', 'its file systems made libguestfs’ appliance end');
}

export function startFailure(words: string): EverbootFailure {
  return new EverbootFailure('HostUnsuitable', `libguestfs’ appliance does not start: ${words}`, {
    remedy: 'Run libguestfs-test-tool on the host; it says what is missing.',
  });
}
