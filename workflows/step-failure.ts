import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  isCancellation,
  TimeoutFailure,
} from '@temporalio/workflow';
import { type FailureCode, failureTable } from '../domain/failures.ts';

/** As what a worker of Temporal's SDK fails a step that it does not have. It would have the step tried again. */
export const unknownStepType = 'NotFoundError';

/** What travels in the details of each of our failures, for clients that show it. */
export interface FailureReport {
  readonly message: string;
  readonly remedy: string;
  readonly problems: readonly string[];
  /** The activity that failed. */
  readonly step?: string;
}

/** Workflow code throws nothing but this: any other error would make Temporal try the workflow task for ever. */
export function everbootFailure(code: FailureCode, message: string, step?: string): ApplicationFailure {
  const { remedy } = failureTable[code];
  const report: FailureReport = { message, remedy, problems: [], ...(step === undefined ? {} : { step }) };
  return ApplicationFailure.create({
    type: code,
    message: `${message}. ${remedy}`,
    nonRetryable: true,
    details: [report],
  });
}

/**
 * What the operation fails with when a step has: the step's own code, message and remedy, and the step's name. A step
 * whose time is over fails with its last attempt's failure, if it had one. A cancellation stays one.
 */
export function failedStep(step: string, host: string, error: unknown): ApplicationFailure | CancelledFailure {
  if (isCancellation(error)) return new CancelledFailure('the operation was cancelled');
  const cause = lastCause(error);
  if (cause instanceof ApplicationFailure && cause.type === unknownStepType) {
    return everbootFailure('HostOutdated', `the worker of the host ${host} does not know the step ${step}`, step);
  }
  if (cause instanceof ApplicationFailure) {
    const [report] = (cause.details ?? []) as (FailureReport | undefined)[];
    return ApplicationFailure.create({
      type: cause.type ?? 'InternalError',
      message: cause.message,
      nonRetryable: cause.nonRetryable ?? false,
      details: [
        {
          message: report?.message ?? cause.message,
          remedy: report?.remedy ?? '',
          problems: report?.problems ?? [],
          step,
        },
      ],
    });
  }
  if (cause instanceof TimeoutFailure) return timedOutStep(step, host, cause);
  return everbootFailure('InternalError', `the step ${step} failed: ${String(error)}`, step);
}

function lastCause(error: unknown): unknown {
  if (!(error instanceof ActivityFailure)) return error;
  const { cause } = error;
  return cause instanceof TimeoutFailure && cause.cause instanceof ApplicationFailure ? cause.cause : cause;
}

/** No attempt of the step says why it was not done in time: the host's worker is what did not answer. */
function timedOutStep(step: string, host: string, { timeoutType }: TimeoutFailure): ApplicationFailure {
  if (timeoutType === 'SCHEDULE_TO_START') {
    return everbootFailure('HostUnreachable', `no worker of the host ${host} took the step ${step} in time`, step);
  }
  if (timeoutType === 'SCHEDULE_TO_CLOSE') {
    return everbootFailure('HostUnreachable', `the host ${host} did not finish the step ${step} in time`, step);
  }
  const message = `the worker of the host ${host} went away in the middle of the step ${step}`;
  return ApplicationFailure.create({ type: 'WorkerStopping' satisfies FailureCode, message, nonRetryable: false });
}
