import { stepTimes } from './step-times.ts';

/**
 * The part of an operation's time that may go by until an absence is seen: a ping costs its history about ten events.
 */
const leastPart = 0.02;

export interface PingTimes {
  /** The pause before the last ping. */
  readonly pauseMs: number;
  /** For how long the operation has been pinging. */
  readonly pingingForMs: number;
  /** For how long its host may be away. */
  readonly unreachableAfterMs: number;
}

/**
 * The pause until an operation pings its host again, in ms. An absence is seen within about the time after which it
 * counts; in an operation that has lasted long, within a fiftieth of that, so that one which waits for years (an undo
 * that fails again and again) still has a history of some hundred pings.
 */
export function pauseBeforePing({ pauseMs, pingingForMs, unreachableAfterMs }: PingTimes): number {
  const { firstPingAfterMs, longestPauseBetweenPingsMs } = stepTimes;
  const pause = Math.min(pauseMs * 2, longestPauseBetweenPingsMs, Math.max(firstPingAfterMs, unreachableAfterMs));
  return Math.max(pause, Math.round(pingingForMs * leastPart));
}
