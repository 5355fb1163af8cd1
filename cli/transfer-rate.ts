import type { StepView } from '../client/progress/read-progress.ts';

/** A rate is taken over this long, so that it neither jumps nor lags. */
const windowMs = 5000;

/** Bytes a second of one step at a time, by its activity’s id; undefined where too little was seen of it. */
export type RateOf = (activityId: string) => number | undefined;

export interface RateMeter {
  /** Notes how far each step is now. */
  note(steps: readonly StepView[], now: number): void;
  readonly rateOf: RateOf;
}

/** Measures how fast the steps of an operation move their bytes, from what is noted now and then. */
export function rateMeter(): RateMeter {
  const samples = new Map<string, { at: number; bytes: number }[]>();
  return {
    note(steps, now) {
      for (const { activityId, state, progress } of steps) {
        if (state !== 'running' || progress === undefined) {
          samples.delete(activityId);
          continue;
        }
        const seen = (samples.get(activityId) ?? []).filter(({ at }) => at >= now - windowMs);
        const last = seen.at(-1);
        // A step that restarted is measured again.
        if (last !== undefined && progress.doneBytes < last.bytes) seen.length = 0;
        samples.set(activityId, [...seen, { at: now, bytes: progress.doneBytes }]);
      }
    },
    rateOf(activityId) {
      const seen = samples.get(activityId) ?? [];
      const [first] = seen;
      const last = seen.at(-1);
      if (first === undefined || last === undefined || last.at - first.at < 500) return undefined;
      return ((last.bytes - first.bytes) * 1000) / (last.at - first.at);
    },
  };
}
