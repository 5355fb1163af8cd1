import { ActivityFailure, CancelledFailure, isCancellation, TimeoutFailure } from '@temporalio/workflow';
import { isRetryable, reportIn, toApplicationFailure } from '../domain/application-failure.ts';
import { reportOf } from '../domain/failure-report.ts';
import { EverbootFailure, type FailureCode } from '../domain/failures.ts';

/** As what a worker of Temporal's SDK 1.24 fails a step that it does not have. It would have the step tried again. */
export const unknownStepType = 'NotFoundError';

/** Workflow code throws nothing but this: any other error would make Temporal try the workflow task indefinitely. */
export function everbootFailure(code: FailureCode, message: string, step?: string) {
  return toApplicationFailure(reportOf(new EverbootFailure(code, message), step), { retryable: false });
}

/**
 * The operation's failure after a step's: the step's own code, message and remedy, and the step's name. A step whose
 * time is over fails with its last attempt's failure, if it had one. A cancellation stays one.
 */
export function failedStep(step: string, host: string, error: unknown): Error {
  if (isCancellation(error)) return new CancelledFailure('the operation was cancelled');
  const cause = lastCause(error);
  const report = reportIn(cause);
  if (report?.code === unknownStepType) {
    return everbootFailure('HostOutdated', `the worker of the host ${host} does not know the step ${step}`, step);
  }
  if (report !== undefined) return toApplicationFailure({ ...report, step }, { retryable: isRetryable(cause) });
  if (cause instanceof TimeoutFailure) return timedOutStep(step, host, cause);
  return everbootFailure('InternalError', `the step ${step} failed: ${String(error)}`, step);
}

function lastCause(error: unknown): unknown {
  if (!(error instanceof ActivityFailure)) return error;
  const { cause } = error;
  return cause instanceof TimeoutFailure && reportIn(cause.cause) !== undefined ? cause.cause : cause;
}

/** No attempt of the step says why it was not done in time: the host's worker is what did not answer. */
function timedOutStep(step: string, host: string, { timeoutType }: TimeoutFailure): Error {
  if (timeoutType === 'SCHEDULE_TO_START') {
    return everbootFailure('HostUnreachable', `no worker of the host ${host} took the step ${step} in time`, step);
  }
  if (timeoutType === 'SCHEDULE_TO_CLOSE') {
    return everbootFailure('HostUnreachable', `the host ${host} did not finish the step ${step} in time`, step);
  }
  const message = `the worker of the host ${host} went away in the middle of the step ${step}`;
  return toApplicationFailure(reportOf(new EverbootFailure('WorkerStopping', message)), { retryable: true });
}
