import { ApplicationFailure } from '@temporalio/common';
import { decodeReport, encodeReport, type FailureReport } from './failure-report.ts';

/*
 * The door between our failures and Temporal's: no other file makes an ApplicationFailure or looks into one.
 */

export interface Carriage {
  /** True: Temporal may try the step again. */
  readonly retryable: boolean;
  /** How long Temporal waits before the next attempt; absent: the retry policy's own delay. */
  readonly retryAfterMs?: number | undefined;
  /** The error behind it, whose stack the history keeps. */
  readonly cause?: Error | undefined;
}

/** A report as the failure that Temporal carries. */
export function toApplicationFailure(
  report: FailureReport,
  { retryable, retryAfterMs, cause }: Carriage,
): ApplicationFailure {
  const { type, message, details } = encodeReport(report);
  return ApplicationFailure.create({
    ...{ type, message, details: [...details], nonRetryable: !retryable },
    ...(retryAfterMs === undefined ? {} : { nextRetryDelay: retryAfterMs }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * The report that an error carries; undefined where it is no ApplicationFailure: a timeout, a cancellation, a defect.
 */
export function reportIn(error: unknown): FailureReport | undefined {
  return error instanceof ApplicationFailure ? decodeReport(error) : undefined;
}

/** Whether an error is an ApplicationFailure that Temporal may try again. */
export function isRetryable(error: unknown): boolean {
  return error instanceof ApplicationFailure && error.nonRetryable !== true;
}
