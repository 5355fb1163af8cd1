import { CancelledFailure, TerminatedFailure } from '@temporalio/common';
import { reportIn } from '../../domain/application-failure.ts';
import { failureOf } from '../../domain/failure-report.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { ParkedReport } from '../../domain/operations.ts';
import type { OperationFailure } from './failure-document.ts';

/** The failure of work on a host, as an EverbootFailure. */
export function workFailure(cause: unknown): EverbootFailure {
  const { failure, step } = endOf(cause, {
    cancelled: 'it was cancelled',
    terminated: 'it was terminated',
    remedy: 'Start it again.',
  });
  return step === undefined ? failure : Object.assign(failure, { step });
}

/** The failure of an operation, as an EverbootFailure. `cause` is Temporal's error for the failed run. */
export function operationFailure(instanceId: string, cause: unknown): OperationFailure {
  const { failure, step } = endOf(cause, {
    cancelled: 'the operation was cancelled, and what it had made removed',
    terminated: 'the operation was terminated',
    remedy: `Remove what it left: everboot delete ${instanceId}`,
  });
  return about(instanceId, failure, step);
}

/** How an end that no step reports is put into words; the remedy is for a termination, which undoes nothing. */
interface EndWords {
  readonly cancelled: string;
  readonly terminated: string;
  readonly remedy: string;
}

interface ReportedEnd {
  readonly failure: EverbootFailure;
  readonly step?: string;
}

function endOf(cause: unknown, { cancelled, terminated, remedy }: EndWords): ReportedEnd {
  if (cause instanceof CancelledFailure) return { failure: new EverbootFailure('Cancelled', cancelled) };
  if (cause instanceof TerminatedFailure) {
    const message = `${terminated} in Temporal (${cause.message}); nothing was undone`;
    return { failure: new EverbootFailure('Terminated', message, { remedy }) };
  }
  const report = reportIn(cause);
  if (report === undefined) {
    const words = cause instanceof Error ? cause.message : String(cause);
    return { failure: new EverbootFailure('InternalError', `the operation failed: ${words}`) };
  }
  return { failure: failureOf(report), ...(report.step === undefined ? {} : { step: report.step }) };
}

/** The failure that an operation is parked with. */
export function parkedFailure(instanceId: string, report: ParkedReport): OperationFailure {
  const failure = failureOf({ ...report, problems: report.problems ?? [] });
  return Object.assign(about(instanceId, failure, report.step), { parked: true as const });
}

/** A failure with the instance that it is of, and the step where one failed. */
export function about(instanceId: string, failure: EverbootFailure, step?: string): OperationFailure {
  return Object.assign(failure, { instanceId, ...(step === undefined ? {} : { step }) });
}

/** The failure of a deletion; where its host did not answer, with the remedy for that. */
export function deletionFailure(failure: OperationFailure): OperationFailure {
  const { code, message, problems, instanceId, step } = failure;
  if (code !== 'HostUnreachable') return failure;
  const remedy =
    'Start `everboot worker` on that host, and delete again; where it never comes back: ' +
    `everboot abandon ${instanceId} --host-gone`;
  return about(instanceId, new EverbootFailure(code, message, { problems, remedy }), step);
}
