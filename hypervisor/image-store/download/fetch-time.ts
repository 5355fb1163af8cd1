import { EverbootFailure } from '../../../domain/failures.ts';
import type { Fetch } from './fetch-rest.ts';

/** The longest time that Node's timers know. */
const maxTimerMs = 2 ** 31 - 1;

/** The time that a fetch has, over all its attempts. */
export interface FetchTime {
  /** Aborts when the caller's signal does, and when the time is over. */
  readonly signal: AbortSignal;
  isOver(): boolean;
  /** How long it has been so far. */
  passedMs(): number;
  /** Forgets the timer. */
  end(): void;
}

/** Begins now, and is over after so many milliseconds. */
export function fetchTime(leftMs: number, stop: AbortSignal): FetchTime {
  const over = new AbortController();
  const startedAtMs = Date.now();
  const timer = setTimeout(() => over.abort(), Math.max(0, Math.min(leftMs, maxTimerMs)));
  return {
    signal: AbortSignal.any([stop, over.signal]),
    isOver: () => over.signal.aborted || Date.now() - startedAtMs >= leftMs,
    passedMs: () => Date.now() - startedAtMs,
    end: () => clearTimeout(timer),
  };
}

/** The final failure of a source that had its time, with each of its places and what it said last. */
export function overdueFailure({ image, source, part, lastErrors }: Fetch): EverbootFailure {
  const places = source.places.map((place) => {
    const error = lastErrors.get(place);
    if (error === undefined) return `${place}: no error, but too slow or not asked`;
    return error.includes(place) ? error : `${place}: ${error}`;
  });
  const done = `${Math.max(part.position(), part.heldBytes)} of ${part.state.totalBytes ?? 'unknown'} bytes`;
  return new EverbootFailure(
    source.finalFailure,
    `${image.title} was not complete within image_fetch_timeout (${done}): ${places.join('; ').slice(0, 2000)}`,
  );
}
