import {
  ActivityCancellationType,
  ActivityFailure,
  CancellationScope,
  condition,
  isCancellation,
  proxyActivities,
  sleep,
  TimeoutFailure,
} from '@temporalio/workflow';
import type { HostActivities } from '../domain/host-activities.ts';
import { pauseBeforePing } from '../domain/ping-schedule.ts';
import { stepTimes } from '../domain/step-times.ts';
import { hostTaskQueue } from '../domain/task-queues.ts';
import type { OperationTracker } from './operation-tracker.ts';

export interface WatchRules<Made> {
  /** How long the host may be away until that is reported, and the host perhaps abandoned. Absent: indefinitely. */
  readonly unreachableAfterMs?: number | undefined;
  /** Called each time that it has been away for so long. */
  readonly onUnreachable?: () => void;
  /** Settles when the work is abandoned; its result is not waited for any more. */
  readonly interrupt?: Promise<Made>;
}

/**
 * Does the work, and looks now and then whether the host's worker is there: Temporal waits for a host that went away,
 * and the operation says so (`WaitingForHost`, then `HostUnreachable`). A quick operation ends before the first ping,
 * so this costs it nothing.
 */
export async function watchingHost<Made>(
  host: string,
  tracker: OperationTracker,
  work: () => Promise<Made>,
  rules: WatchRules<Made> = {},
): Promise<Made> {
  // A cancelled operation still undoes, and that too may have to wait for the host: the watch outlives a cancellation.
  const scope = await CancellationScope.nonCancellable(async () => new CancellationScope());
  const watch = scope.run(() => keepPinging(host, tracker, rules));
  try {
    return await (rules.interrupt === undefined ? work() : Promise.race([work(), rules.interrupt]));
  } finally {
    scope.cancel();
    await watch.catch(() => undefined);
  }
}

async function keepPinging(
  host: string,
  tracker: OperationTracker,
  rules: Omit<WatchRules<never>, 'interrupt'>,
): Promise<void> {
  const { unreachableAfterMs = Number.POSITIVE_INFINITY } = rules;
  const askForMs = Math.min(stepTimes.awayAfterMs, unreachableAfterMs / 2);
  let pauseMs = Math.min(stepTimes.firstPingAfterMs, unreachableAfterMs);
  let since = Date.now();
  for (;;) {
    // While it is parked nothing is wanted of the host, and looking would fill the history.
    if (isParked(tracker)) {
      await condition(() => !isParked(tracker));
      since = Date.now();
    }
    await sleep(pauseMs, { summary: `then ping ${host}` });
    pauseMs = pauseBeforePing({ pauseMs, pingingForMs: Date.now() - since, unreachableAfterMs });
    if (isParked(tracker) || (await answers(host, askForMs))) continue;
    await untilBack(host, tracker, { ...rules, awayMs: askForMs });
    tracker.hostAway(null);
  }
}

function isParked(tracker: OperationTracker): boolean {
  return tracker.phase() === 'NeedsOperator';
}

type Absence = Omit<WatchRules<never>, 'interrupt'> & {
  /** For how long it has not answered. */
  readonly awayMs: number;
};

/** Says that the host is away, and asks for it until it is back. */
async function untilBack(
  host: string,
  tracker: OperationTracker,
  { unreachableAfterMs, onUnreachable, awayMs }: Absence,
): Promise<void> {
  const since = Date.now() - awayMs;
  tracker.hostAway({ since, phase: 'WaitingForHost' });
  if (unreachableAfterMs !== undefined) {
    const restMs = unreachableAfterMs - awayMs;
    if (restMs > 0 && (await answers(host, restMs))) return;
    tracker.hostAway({ since, phase: 'HostUnreachable' });
    onUnreachable?.();
  }
  // One long ping costs the history less than many short ones, and is answered as soon as the host is back.
  while (!(await answers(host, stepTimes.longPingMs)));
}

/** How often the question is put again to a worker that took it and then said nothing. */
const maxSilences = 6;

/**
 * Whether a worker of the host is there. Only a ping that nobody took says that none is. One that somebody took, and
 * did not answer, may have gone to the connection of a machine that is dead, which Temporal sees after a minute.
 */
async function answers(host: string, within: number): Promise<boolean> {
  for (let silences = 0; silences < maxSilences; silences += 1) {
    const answer = await ping(host, within);
    if (answer !== 'silence') return answer === 'there';
  }
  return false;
}

async function ping(host: string, within: number): Promise<'there' | 'nobody' | 'silence'> {
  const { pingHost } = proxyActivities<Pick<HostActivities, 'pingHost'>>({
    taskQueue: hostTaskQueue(host, 'light'),
    scheduleToStartTimeout: within,
    startToCloseTimeout: Math.min(stepTimes.pingTimeoutMs, within),
    // A ping does nothing on the host, so nobody has to wait for its end.
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry: { maximumAttempts: 1 },
    summary: `ping a worker of ${host}`,
  });
  try {
    await pingHost();
    return 'there';
  } catch (error) {
    if (isCancellation(error)) throw error;
    const cause = error instanceof ActivityFailure ? error.cause : error;
    if (!(cause instanceof TimeoutFailure)) return 'there';
    return cause.timeoutType === 'SCHEDULE_TO_START' ? 'nobody' : 'silence';
  }
}
