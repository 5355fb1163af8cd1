import { CancelledFailure, type Context } from '@temporalio/activity';
import type { ActivityInboundCallsInterceptor } from '@temporalio/worker';
import { reportIn, toApplicationFailure } from '../domain/application-failure.ts';
import { reportOf } from '../domain/failure-report.ts';
import { EverbootFailure, type FailureCode, failureKind, isFailureCode } from '../domain/failures.ts';
import { isUndoStep } from '../domain/steps.ts';

/** How long a step is retried after a failure that may pass, in milliseconds; absent: indefinitely. */
export type Patience = Readonly<Partial<Record<FailureCode, number>>>;

/** Errors of the operating system that a full disk gives. */
const spaceErrors = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** Attempts are remembered by this many steps; more of them fail at once on no host. */
const maxRemembered = 10_000;

/**
 * Hands every step's failure over to Temporal: the code becomes the failure's type, and the table decides whether it is
 * tried again, for as long as the host is patient. That time begins with the first failure that this worker saw:
 * neither waiting for a slot nor a host that was away is the step's fault. An undo is tried again whatever it fails
 * with. Any other error is the operating system's word or a defect.
 */
export function failureInterceptor(patience: Patience): (context: Context) => ActivityInboundCallsInterceptor {
  const failingSinceMs = new Map<string, number>();
  return (context) => ({
    async execute(input, next) {
      const { workflowExecution, activityId, activityType } = context.info;
      const step = `${workflowExecution?.workflowId}/${workflowExecution?.runId}/${activityId}`;
      try {
        const made = await next(input);
        failingSinceMs.delete(step);
        return made;
      } catch (error) {
        if (reportIn(error) !== undefined) throw error;
        if (isStopping(context)) throw carried(stoppingFailure(), true);
        if (error instanceof CancelledFailure || context.cancellationSignal.aborted) {
          failingSinceMs.delete(step);
          throw error instanceof CancelledFailure ? error : new CancelledFailure('the step was cancelled');
        }
        const failure = error instanceof EverbootFailure ? error : classify(error);
        if (isUndoStep(activityType)) throw carried(failure, true);
        if (failure.retryable && !isOver(failingSinceMs, step, patience[failure.code])) {
          throw carried(failure, true);
        }
        failingSinceMs.delete(step);
        throw carried(failure.retryable ? ended(failure) : failure, false);
      }
    },
  });
}

/** Whether a step has been failing for longer than the host is patient with it. */
function isOver(failingSinceMs: Map<string, number>, step: string, patienceMs = Number.POSITIVE_INFINITY): boolean {
  const since = failingSinceMs.get(step);
  if (since !== undefined) return Date.now() - since > patienceMs;
  const [oldest] = failingSinceMs.keys();
  if (failingSinceMs.size >= maxRemembered && oldest !== undefined) failingSinceMs.delete(oldest);
  failingSinceMs.set(step, Date.now());
  return false;
}

/** A worker that shuts down also cancels its steps, but then they are to continue, on the next worker. */
function isStopping({ cancellationSignal, cancellationDetails }: Context): boolean {
  return cancellationSignal.aborted && cancellationDetails?.workerShutdown === true;
}

/**
 * The next worker takes the step up at once: nothing has to get better first. Zero would mean the policy’s own delay.
 */
function stoppingFailure(): EverbootFailure {
  return new EverbootFailure('WorkerStopping', 'the worker was stopped in the middle of this step', {
    retryAfterMs: 1,
  });
}

/** The failure under the name that it has when it is final. */
function ended(failure: EverbootFailure): EverbootFailure {
  const { endsAs } = failureKind(failure.code);
  return endsAs !== undefined && isFailureCode(endsAs) ? new EverbootFailure(endsAs, failure.message) : failure;
}

function classify(error: unknown): EverbootFailure {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== undefined && spaceErrors.has(code)) return new EverbootFailure('InsufficientSpace', message);
  if (code !== undefined && /^E[A-Z0-9]+$/.test(code)) return new EverbootFailure('HostIoError', message);
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new EverbootFailure('InternalError', text.slice(0, 500), { cause: error });
}

/**
 * As Temporal carries it. Only a defect needs its stack; of everything else the history would show paths and nothing
 * more.
 */
function carried(failure: EverbootFailure, retryable: boolean): Error {
  const { code, cause, retryAfterMs } = failure;
  const defect = code === 'InternalError' && cause instanceof Error ? { cause } : {};
  return toApplicationFailure(reportOf(failure), { retryable, retryAfterMs, ...defect });
}
