import type { Duration } from '@temporalio/common';
import {
  ActivityCancellationType,
  CancellationScope,
  condition,
  isCancellation,
  proxyActivities,
  sleep,
} from '@temporalio/workflow';
import type { HostActivities } from '../domain/host-activities.ts';
import type { Phase } from '../domain/operations.ts';
import { hostTaskQueue } from '../domain/task-queues.ts';
import type { OperationTracker } from './operation-tracker.ts';

const firstLookAfterMs = 60_000;
const longestPauseMs = 10 * 60_000;
/** A host whose worker takes no ping within this time is away; where the limit is short, within half of it. */
const awayAfterMs = 20_000;

export interface WatchRules<Made> {
  /** For how long the host may be away until that is said, and perhaps given up. Absent: it is waited for, for ever. */
  readonly unreachableAfterMs?: number | undefined;
  /** Called each time that it has been away for so long, with the phase in which it went. */
  readonly onUnreachable?: (before: Phase) => void;
  /** What ends the waiting for the work, which is then nobody's any more. */
  readonly interrupt?: Promise<Made>;
}

/**
 * Does the work, and looks now and then whether the host's worker is there: Temporal waits for a host that went away,
 * and the operation says so (`WaitingForHost`, then `HostUnreachable`). A quick operation ends before the first look, so
 * this costs it nothing.
 */
export async function watchingHost<Made>(
  host: string,
  tracker: OperationTracker,
  work: () => Promise<Made>,
  rules: WatchRules<Made> = {},
): Promise<Made> {
  // A cancelled operation still undoes, and that too may have to wait for the host: the watch outlives a cancellation.
  const scope = await CancellationScope.nonCancellable(async () => new CancellationScope());
  const watch = scope.run(() => lookAfter(host, tracker, rules));
  try {
    return await (rules.interrupt === undefined ? work() : Promise.race([work(), rules.interrupt]));
  } finally {
    scope.cancel();
    await watch.catch(() => undefined);
  }
}

async function lookAfter(
  host: string,
  tracker: OperationTracker,
  rules: Omit<WatchRules<never>, 'interrupt'>,
): Promise<void> {
  const { unreachableAfterMs = Number.POSITIVE_INFINITY } = rules;
  const askForMs = Math.min(awayAfterMs, unreachableAfterMs / 2);
  let pauseMs = Math.min(firstLookAfterMs, unreachableAfterMs);
  for (;;) {
    // While it is parked nothing is wanted of the host, and looking would fill the history.
    if (isParked(tracker)) await condition(() => !isParked(tracker));
    await sleep(pauseMs, { summary: `look then whether ${host} is there` });
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    if (isParked(tracker) || (await answers(host, askForMs))) continue;
    const before = tracker.phase();
    await untilBack(host, tracker, { ...rules, before, awayMs: askForMs });
    tracker.hostAway(null);
    if (['WaitingForHost', 'HostUnreachable'].includes(tracker.phase())) tracker.enter(before);
  }
}

function isParked(tracker: OperationTracker): boolean {
  return tracker.phase() === 'NeedsOperator';
}

type Absence = Omit<WatchRules<never>, 'interrupt'> & {
  readonly before: Phase;
  /** For how long it has not answered. */
  readonly awayMs: number;
};

/** Says that the host is away, and asks for it until it is back. */
async function untilBack(
  host: string,
  tracker: OperationTracker,
  { unreachableAfterMs, onUnreachable, before, awayMs }: Absence,
): Promise<void> {
  tracker.hostAway(Date.now() - awayMs);
  tracker.enter('WaitingForHost');
  if (unreachableAfterMs !== undefined) {
    const restMs = unreachableAfterMs - awayMs;
    if (restMs > 0 && (await answers(host, restMs))) return;
    tracker.enter('HostUnreachable');
    onUnreachable?.(before);
  }
  // One long question costs the history less than many short ones, and is answered as soon as the host is back.
  while (!(await answers(host, '12 hours')));
}

async function answers(host: string, within: Duration): Promise<boolean> {
  const { pingHost } = proxyActivities<Pick<HostActivities, 'pingHost'>>({
    taskQueue: hostTaskQueue(host, 'light'),
    scheduleToStartTimeout: within,
    startToCloseTimeout: '10 seconds',
    // A ping does nothing on the host, so nobody has to wait for its end.
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry: { maximumAttempts: 1 },
    summary: `is a worker of ${host} there?`,
  });
  try {
    await pingHost();
    return true;
  } catch (error) {
    if (isCancellation(error)) throw error;
    return false;
  }
}
