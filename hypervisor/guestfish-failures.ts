import { EverbootFailure } from '../domain/failures.ts';

/** What the kernel says of a file, at the end of a complaint. Everything else might quote a path. */
const knownReasons =
  /: ((?:No such file or|Is a|Not a) directory|No space left on device|Read-only file system|File name too long|File exists|Permission denied|Operation not permitted|Structure needs cleaning|Input\/output error|Bad message|Too many levels of symbolic links|Disk quota exceeded)$/i;

export function reasonIn(complaint: string): string {
  return knownReasons.exec(complaint)?.[1] ?? 'it failed';
}

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
