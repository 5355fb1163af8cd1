import type { Worker } from '@temporalio/worker';
import { EverbootFailure } from '../domain/failures.ts';
import { log } from './log.ts';
import type { RunningSteps } from './running-steps.ts';

/** Long enough for a step that is nearly done, short enough for whoever waits; then steps are cancelled. */
const graceMs = 3000;

/**
 * How long a drain may take in all: a program that must not be ended in the middle is waited for until then. A service
 * manager has to give more than this before it kills, see deploy/everboot-worker.service.
 */
const forceMs = 30_000;

/** The SDK keeps the limit by itself, but what it then closes may wait for a server that does not answer. */
const lastMomentMs = 2000;

/** The SDK's options for a drain. */
export const drainOptions = { shutdownGraceTime: graceMs, shutdownForceTime: forceMs } as const;

export interface Draining {
  /**
   * Settles when every worker has drained; rejects when one of them broke. Once stopped it settles within the limit,
   * whoever is still waited for: a step, or a server that does not answer.
   */
  readonly ended: Promise<void>;
  /**
   * Takes no new work, gives the running steps a moment to end, has the others stop, and settles with `ended`. Throws
   * WorkerStopping when a step has not stopped within the time.
   */
  shutdown(): Promise<void>;
}

/** Runs workers until they are stopped. */
export function runWorkers(workers: readonly Worker[], running: RunningSteps): Draining {
  let isStopping = false;
  const limit = Promise.withResolvers<never>();
  const ran = Promise.all(workers.map((worker) => worker.run()));
  const ended = Promise.race([ran, limit.promise]).then(
    () => undefined,
    (error: unknown) => {
      if (!isStopping) throw error;
      // How the SDK words it depends on what it could not close. What counts is whether a step continues.
      const steps = running.list();
      if (steps.length > 0) throw leftBehind(steps);
      log.warn({ error: String(error) }, 'Temporal did not hear of the stop in time: it has to miss the heartbeats');
    },
  );
  return {
    ended,
    async shutdown() {
      isStopping = true;
      const steps = running.list();
      const seconds = { graceSeconds: graceMs / 1000, atMostSeconds: forceMs / 1000 };
      log.info({ steps, ...seconds }, `stopping: takes no new work, waits for ${steps.length} running steps`);
      const tooLate = (): void => limit.reject(new Error('the workers did not close'));
      const timer = setTimeout(tooLate, forceMs + lastMomentMs);
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
      try {
        await ended;
      } finally {
        clearTimeout(timer);
      }
      log.info('stopped: what was not finished is for the next worker');
    },
  };
}

function leftBehind(steps: readonly string[]): EverbootFailure {
  const found = `not stopped within ${forceMs / 1000} s: ${steps.join(', ')}`;
  return new EverbootFailure('WorkerStopping', found.slice(0, 1000), {
    remedy: 'No action needed: the next worker resumes them when their heartbeats are missed and their locks are free.',
  });
}
