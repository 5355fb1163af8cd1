import { Context } from '@temporalio/activity';
import type { StepProgress, WorkControl } from '../../domain/step-progress.ts';

/** Well under the steps' heartbeat timeout; the SDK throttles what is sent beyond its own limit. */
const beatEveryMs = 1000;

/**
 * Runs a step's work with what it needs to be watched and stopped: the activity's cancellation as a signal, and its
 * heartbeat as progress. A heart beats by timer as well, since a step may be at something that has no progress, and
 * only an activity that heartbeats can be cancelled.
 */
export async function withWorkControl<Made>(work: (control: WorkControl) => Promise<Made>): Promise<Made> {
  const context = Context.current();
  let last: StepProgress | undefined;
  const timer = setInterval(() => context.heartbeat(last), beatEveryMs);
  try {
    return await work({
      signal: context.cancellationSignal,
      onProgress: (progress) => {
        last = progress;
        context.heartbeat(progress);
      },
    });
  } finally {
    clearInterval(timer);
  }
}
