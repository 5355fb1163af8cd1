import { stepTimes } from './step-times.ts';

/** The part of an operation's time that may go by until an absence is seen: a look costs its history about ten events. */
const leastPart = 0.02;

export interface LookTimes {
  /** The pause before the last look. */
  readonly pauseMs: number;
  /** For how long the operation has been looking. */
  readonly lookingForMs: number;
  /** For how long its host may be away. */
  readonly unreachableAfterMs: number;
}

/**
 * How long an operation waits until it looks again whether its host is there, in ms. An absence is seen within about the
 * time after which it counts; in an operation that has lasted long, within a fiftieth of that, so that one which waits for
 * years (an undo that fails again and again) still has a history of some hundred looks.
 */
export function pauseBeforeLook({ pauseMs, lookingForMs, unreachableAfterMs }: LookTimes): number {
  const { firstLookAfterMs, longestPauseBetweenLooksMs } = stepTimes;
  const pause = Math.min(pauseMs * 2, longestPauseBetweenLooksMs, Math.max(firstLookAfterMs, unreachableAfterMs));
  return Math.max(pause, Math.round(lookingForMs * leastPart));
}
