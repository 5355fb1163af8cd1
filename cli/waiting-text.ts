import type { OperationView, ParkedView } from '../client/progress/read-progress.ts';
import { failureKind, isFailureCode } from '../domain/failures.ts';
import { durationText, timeText } from './units.ts';

/** The causes that an operation waits for, a line each: an operator, its host. */
export function waitingLines({ phase, host, parked, hostAwaySince }: OperationView, now: number): string[] {
  return [
    ...(parked === undefined ? [] : [`waits for an operator ${sinceText(parked, now)}: ${parkedCause(parked)}`]),
    ...(hostAwaySince === undefined ? [] : [awayText(phase, host, hostAwaySince, now)]),
  ];
}

/** "InsufficientSpace in createRootDisk". */
export function parkedCause({ code, step }: Pick<ParkedView, 'code' | 'step'>): string {
  return step === undefined ? code : `${code} in ${step}`;
}

/** "for 4 min 10 s, until 2026-03-01 14:05:09". */
export function sinceText({ since, until }: Pick<ParkedView, 'since' | 'until'>, now: number): string {
  const end = until === undefined ? '' : `, until ${timeText(until)}`;
  return `for ${durationText(now - Date.parse(since))}${end}`;
}

/** Since when a host has been away, and what happens next. */
export function awayText(phase: OperationView['phase'], host: string, since: string, now: number): string {
  const away = `no worker of ${host} answers for ${durationText(now - Date.parse(since))}`;
  // What is parked waits for a person and not for its host.
  if (phase === 'NeedsOperator') return away;
  return phase === 'HostUnreachable'
    ? `${away}: the operation waits; if the host never comes back, run abandon --host-gone`
    : `${away}: it resumes when one does`;
}

/** The change that a retry needs where only the spec can be at fault. */
const changesFor: Partial<Record<string, string>> = {
  FlavorDiskTooSmall: 'flavor.rootGb=N',
  FlavorMemoryTooSmall: 'flavor.memoryMb=N',
  SpecInvalid: 'KEY=VALUE',
};

/** The ways on from a parked operation; what fits depends on what it waits with, where that is known. */
export function waysOn(instanceId: string, code?: string): string {
  const retry = `everboot retry ${instanceId}`;
  const change = code === undefined ? undefined : changesFor[code];
  const mayChange = code === undefined || code === 'HostUnsuitable' || isImageRefused(code);
  return [
    ...(change === undefined ? [`  continue: ${retry}`] : [`  continue: ${retry} --set ${change}`]),
    ...(change === undefined && mayChange ? [`  changed:  ${retry} --set KEY=VALUE`] : []),
    `  abandon:  everboot abandon ${instanceId}`,
  ].join('\n');
}

function isImageRefused(code: string): boolean {
  return isFailureCode(code) && failureKind(code).imageRefused === true;
}
