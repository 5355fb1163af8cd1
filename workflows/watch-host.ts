import type { Duration } from '@temporalio/common';
import {
  ActivityCancellationType,
  CancellationScope,
  isCancellation,
  proxyActivities,
  sleep,
} from '@temporalio/workflow';
import type { HostActivities } from '../domain/host-activities.ts';
import { hostTaskQueue } from '../domain/task-queues.ts';
import type { OperationTracker } from './operation-tracker.ts';

const firstLookAfterMs = 60_000;
const longestPauseMs = 10 * 60_000;
/** A host whose worker takes no ping within this time is away. */
const awayAfter = '20 seconds';

/**
 * Does the work, and looks now and then whether the host's worker is there: Temporal waits for a host that went away,
 * and the operation says so (`WaitingForHost`). A quick operation ends before the first look, so this costs it nothing.
 */
export async function watchingHost<Made>(
  host: string,
  tracker: OperationTracker,
  work: () => Promise<Made>,
): Promise<Made> {
  // A cancelled operation still undoes, and that too may have to wait for the host: the watch outlives a cancellation.
  const scope = await CancellationScope.nonCancellable(async () => new CancellationScope());
  const watch = scope.run(() => lookAfter(host, tracker));
  try {
    return await work();
  } finally {
    scope.cancel();
    await watch.catch(() => undefined);
  }
}

async function lookAfter(host: string, tracker: OperationTracker): Promise<void> {
  let pauseMs = firstLookAfterMs;
  for (;;) {
    await sleep(pauseMs, { summary: `look then whether ${host} is there` });
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    if (await answers(host, awayAfter)) continue;
    const before = tracker.phase();
    tracker.enter('WaitingForHost');
    // One long question costs the history less than many short ones, and is answered as soon as the host is back.
    while (!(await answers(host, '12 hours')));
    if (tracker.phase() === 'WaitingForHost') tracker.enter(before);
  }
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
