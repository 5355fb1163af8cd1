import { EverbootFailure, type FailureCode, isFailureCode } from './failures.ts';
import type { ProgramEnd } from './program-end.ts';

/**
 * A failure as plain data: how it travels through Temporal, waits for an operator, and reaches the client. Workers and
 * clients of several releases read each other's.
 */
export interface FailureReport {
  /** One of the table's, unless a later release made the report. */
  readonly code: string;
  readonly message: string;
  /** Empty where nothing is known to be done. */
  readonly remedy: string;
  /** The remedy while the operation is parked; absent: the same one. */
  readonly remedyWhenParked?: string;
  /** One line for each mistake, where several were found together. */
  readonly problems: readonly string[];
  /** The activity that failed. */
  readonly step?: string;
  /** How the program ended that the failure is about. */
  readonly program?: ProgramEnd;
}

/** The parts of Temporal's ApplicationFailure in which a report travels. */
export interface EncodedReport {
  /** The code, so that retry policies and the Temporal UI see it. */
  readonly type: string;
  /** One sentence for people, with the problems and the remedy. */
  readonly message: string;
  /** One element: everything of the report but its code. */
  readonly details: readonly [Omit<FailureReport, 'code'>];
}

/** Temporal cuts a failure of more than 4 KiB, its details first. */
const maxSentenceLength = 3500;

/** A failure of ours as plain data. */
export function reportOf(failure: EverbootFailure, step?: string): FailureReport {
  const { code, message, remedy, remedyWhenParked, problems, program } = failure;
  return {
    ...{ code, message, remedy, problems },
    ...(remedyWhenParked === undefined ? {} : { remedyWhenParked }),
    ...(step === undefined ? {} : { step }),
    ...(program === undefined ? {} : { program }),
  };
}

/** A report as Temporal carries it; `decodeReport` reads it again. */
export function encodeReport(report: FailureReport): EncodedReport {
  const { code, ...details } = report;
  return { type: code, message: sentenceOf(report), details: [details] };
}

/** The whole report in one line, as the Temporal UI shows it. */
export function sentenceOf({ message, remedy, problems }: FailureReport): string {
  const lines = problems.length === 0 ? '' : `: ${problems.join('; ')}`;
  const end = remedy === '' ? '' : `. ${remedy}`;
  return `${message}${lines}${end}`.slice(0, maxSentenceLength);
}

/** A failure as Temporal hands it over: by our own hand, by another release's, or by anybody's. */
export interface CarriedFailure {
  readonly type?: string | null | undefined;
  readonly message: string;
  readonly details?: readonly unknown[] | null | undefined;
}

/** Reads any failure that Temporal carries. A code and words that are not known stay as they are. */
export function decodeReport({ type, message, details }: CarriedFailure): FailureReport {
  const [carried] = details ?? [];
  const fields = (typeof carried === 'object' && carried !== null ? carried : {}) as Partial<FailureReport>;
  const { remedyWhenParked, problems, step, program } = fields;
  return {
    code: type ?? ('InternalError' satisfies FailureCode),
    message: textOf(fields.message) ?? message,
    remedy: textOf(fields.remedy) ?? '',
    problems: Array.isArray(problems) ? problems.map(String) : [],
    ...(textOf(remedyWhenParked) === undefined ? {} : { remedyWhenParked }),
    ...(textOf(step) === undefined ? {} : { step }),
    ...(typeof program === 'object' && program !== null ? { program } : {}),
  };
}

/**
 * The failure that a report describes. One with a code of a later release becomes UnknownCode: its code and message are
 * the message, and its remedy stays.
 */
export function failureOf({
  code,
  message,
  remedy,
  remedyWhenParked,
  problems,
  program,
}: FailureReport): EverbootFailure {
  const details = {
    problems,
    ...(remedy === '' ? {} : { remedy }),
    ...(remedyWhenParked === undefined ? {} : { remedyWhenParked }),
    ...(program === undefined ? {} : { program }),
  };
  if (isFailureCode(code)) return new EverbootFailure(code, message, details);
  return new EverbootFailure('UnknownCode', `${code}: ${message}`, details);
}

/** The remedy for an operation that waits for an operator: it is not started again but retried, and on its own host. */
export function parkedRemedy({ remedy, remedyWhenParked }: FailureReport): string {
  return remedyWhenParked ?? remedy;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
