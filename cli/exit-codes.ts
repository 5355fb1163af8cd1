import { type FailureCode, failureKind } from '../domain/failures.ts';

/** The command line’s exit codes. */
export const exitCodes = {
  done: 0,
  failed: 1,
  /** Usage, spec or configuration: the same command never succeeds. */
  usage: 2,
  imageRefused: 3,
  /** Waits for an operator. */
  parked: 4,
  /** Temporal, or the host. */
  unreachable: 5,
  interrupted: 130,
} as const;

const usageCodes: ReadonlySet<string> = new Set(['UsageInvalid', 'SpecInvalid', 'ConfigInvalid', 'SecretKeyMissing']);
const unreachableCodes: ReadonlySet<string> = new Set(['TemporalUnreachable', 'HostUnreachable']);

/** The exit code of a command that failed with one of the codes of the table. */
export function exitCodeOf(code: FailureCode): number {
  if (usageCodes.has(code)) return exitCodes.usage;
  if (unreachableCodes.has(code)) return exitCodes.unreachable;
  return failureKind(code).imageRefused === true ? exitCodes.imageRefused : exitCodes.failed;
}
