import { ApplicationFailure, CancelledFailure, TerminatedFailure } from '@temporalio/common';
import { EverbootFailure, type FailureCode, failureKind, isFailureCode } from '../domain/failures.ts';

/** A failure of an operation that ran: where it happened, beside what every failure says. */
export type OperationFailure = EverbootFailure & { readonly instanceId: string; readonly step?: string };

/** What the workflows put in the details of each failure. */
interface FailureReport {
  readonly message?: string;
  readonly remedy?: string;
  readonly problems?: readonly string[];
  readonly step?: string;
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
  const message = report?.message ?? cause.message;
  const { type } = cause;
  // A worker of another release may know codes that this client does not.
  const isKnown = typeof type === 'string' && isFailureCode(type);
  const failure = new EverbootFailure(isKnown ? type : 'InternalError', isKnown ? message : `${type}: ${message}`, {
    problems: report?.problems ?? [],
    ...(report?.remedy ? { remedy: report.remedy } : {}),
  });
  return about(instanceId, failure, report?.step);
}

/** Says which instance a failure is about, for whoever prints it. */
export function about(instanceId: string, failure: EverbootFailure, step?: string): OperationFailure {
  return Object.assign(failure, { instanceId, ...(step === undefined ? {} : { step }) });
}

/** How failures look in JSON. */
export interface FailureDocument {
  readonly code: FailureCode;
  readonly message: string;
  readonly remedy: string;
  /** Whether the same request may succeed later unchanged. */
  readonly retryable: boolean;
  readonly instanceId?: string;
  readonly step?: string;
  readonly problems?: readonly string[];
}

/** Final for the operation, yet what is wrong lies outside the request and may pass. */
const passing: ReadonlySet<string> = new Set<FailureCode>([
  'InstanceBusy',
  'HostUnreachable',
  'ImageNotActive',
  'GlanceConnectionFailed',
  'SourceUnavailable',
  'InsufficientSpace',
  'Cancelled',
]);

export function failureDocument(failure: EverbootFailure | OperationFailure): FailureDocument {
  const { code, message, remedy, problems } = failure;
  const { instanceId, step } = failure as Partial<OperationFailure>;
  return {
    code,
    message,
    remedy,
    retryable: passing.has(code) || failureKind(code).retryable,
    ...(instanceId === undefined ? {} : { instanceId }),
    ...(step === undefined ? {} : { step }),
    ...(problems.length === 0 ? {} : { problems }),
  };
}
