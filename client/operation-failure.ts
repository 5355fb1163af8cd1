import { ApplicationFailure, CancelledFailure, TerminatedFailure } from '@temporalio/common';
import { EverbootFailure, isFailureCode } from '../domain/failures.ts';
import type { ParkedReport } from '../domain/operations.ts';
import { parkedRemedy } from '../domain/parked-remedy.ts';
import type { OperationFailure } from './failure-document.ts';

/** What the workflows put in the details of each failure. */
interface FailureReport {
  readonly message?: string;
  readonly remedy?: string;
  readonly problems?: readonly string[];
  readonly step?: string;
}

/** What work on no instance ended with, in our own words. */
export function workFailure(cause: unknown): EverbootFailure {
  const { code, message, problems, remedy, step } = operationFailure('', cause);
  const failure = new EverbootFailure(code, message, { problems, remedy });
  return step === undefined ? failure : Object.assign(failure, { step });
}

/** What an operation ended with, in our own words. `cause` is what Temporal says of the run that failed. */
export function operationFailure(instanceId: string, cause: unknown): OperationFailure {
  if (cause instanceof CancelledFailure) {
    return about(
      instanceId,
      new EverbootFailure('Cancelled', 'the operation was cancelled, and what it had made removed'),
    );
  }
  if (cause instanceof TerminatedFailure) {
    return about(
      instanceId,
      new EverbootFailure(
        'InternalError',
        `the operation was terminated in Temporal (${cause.message}); nothing was undone`,
        {
          remedy: `Remove what it left: everboot delete ${instanceId}`,
        },
      ),
    );
  }
  if (!(cause instanceof ApplicationFailure)) {
    const words = cause instanceof Error ? cause.message : String(cause);
    return about(instanceId, new EverbootFailure('InternalError', `the operation failed: ${words}`));
  }
  const [report] = (cause.details ?? []) as (FailureReport | undefined)[];
  return reportedFailure(instanceId, { message: cause.message, ...report, code: cause.type });
}

/** What an operation waits for an operator with. */
export function parkedFailure(instanceId: string, report: ParkedReport): OperationFailure {
  const said = { ...report, remedy: parkedRemedy(report.remedy) };
  return Object.assign(reportedFailure(instanceId, said), { parked: true as const });
}

function reportedFailure(
  instanceId: string,
  { code, message = '', remedy, problems = [], step }: FailureReport & { readonly code?: string | null | undefined },
): OperationFailure {
  // A worker of another release may know codes that this client does not.
  const isKnown = typeof code === 'string' && isFailureCode(code);
  const failure = new EverbootFailure(isKnown ? code : 'InternalError', isKnown ? message : `${code}: ${message}`, {
    problems,
    ...(remedy ? { remedy } : {}),
  });
  return about(instanceId, failure, step);
}

function about(instanceId: string, failure: EverbootFailure, step?: string): OperationFailure {
  return Object.assign(failure, { instanceId, ...(step === undefined ? {} : { step }) });
}
