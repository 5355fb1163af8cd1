import { setTimeout as sleep } from 'node:timers/promises';

/** A limit that several fetches share. */
export interface RateLimit {
  /** Waits until so many bytes may be taken. Throws the signal's reason. */
  take(bytes: number, signal: AbortSignal): Promise<void>;
}

/** The share that may be taken at once after a pause; more would be a burst, less would make many short sleeps. */
const burstMs = 250;

/**
 * When bytes may be taken that are asked for now, in milliseconds of the clock. Whoever asks first is served first, so
 * that fetches concurrently get equal shares.
 */
export function takingTurns(bytesPerSecond: number): (bytes: number, nowMs: number) => number {
  let freeAtMs = 0;
  return (bytes, nowMs) => {
    const beginMs = Math.max(freeAtMs, nowMs - burstMs);
    freeAtMs = beginMs + (bytes / bytesPerSecond) * 1000;
    return beginMs;
  };
}

/** The limit of all fetches of one process. */
export function rateLimit(bytesPerSecond: number): RateLimit {
  const turn = takingTurns(bytesPerSecond);
  return {
    async take(bytes, signal) {
      const waitMs = turn(bytes, Date.now()) - Date.now();
      if (waitMs <= 0) return;
      await sleep(waitMs, undefined, { signal }).catch((error: unknown) => {
        signal.throwIfAborted();
        throw error;
      });
    },
  };
}
