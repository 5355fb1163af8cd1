import {
  ActivityCancellationType,
  type ActivityOptions,
  CancellationScope,
  CancelledFailure,
  proxyActivities,
} from '@temporalio/workflow';
import { isRetryable } from '../domain/application-failure.ts';
import type { HostActivities } from '../domain/host-activities.ts';
import { stepTimes } from '../domain/step-times.ts';
import {
  isEndless,
  isKeptWhileParked,
  type OpeningStep,
  type StepName,
  standsOverParking,
  stepNames,
  steps,
} from '../domain/steps.ts';
import { hostTaskQueue } from '../domain/task-queues.ts';
import type { OperationTracker } from './operation-tracker.ts';
import { failedStep, unknownStepType } from './step-failure.ts';

/** The steps behind their names only; `Step` gives each its own types back. */
type UntypedActivities = Record<StepName, (input: unknown) => Promise<unknown>>;

/** One step on the host: what a person reads of it, what it is given, and what it is about where it occurs twice. */
type Step<Name extends StepName> = (
  summary: string,
  input: Parameters<HostActivities[Name]>[0],
  subject?: string,
) => ReturnType<HostActivities[Name]>;

export type HostSteps = { readonly [Name in StepName]: Step<Name> };

/** The results of steps, by their activities' ids: an operation that continues after it was parked finds them here. */
type DoneSteps = Map<string, unknown>;

/** The step history of an operation that is not at its first attempt. */
export interface StepHistory {
  /** A step whose result stands is not carried out again, see `standsOverParking`. */
  readonly done?: DoneSteps;
  /** Counts the tries, from 1: the steps of an earlier one may still be pending, and each has an id of its own. */
  readonly generation?: number;
}

/** The steps of a host, as functions. Each shows up in the operation's table, and fails with a code of ours. */
export function stepsOn(host: string, tracker: OperationTracker, history: StepHistory = {}): HostSteps {
  const step =
    <Name extends StepName>(name: Name): Step<Name> =>
    (summary, input, subject) => {
      const activityId = activityIdOf(subject === undefined ? name : `${name}:${subject}`, history);
      const which = { host, name, activityId, summary };
      const call = (options: ActivityOptions) => callActivity(host, name, options, input);
      return trackedStep(tracker, history, which, call) as ReturnType<HostActivities[Name]>;
    };
  return Object.fromEntries(stepNames.map((name) => [name, step(name)])) as HostSteps;
}

interface WhichStep {
  readonly host: string;
  readonly name: StepName;
  readonly activityId: string;
  readonly summary: string;
}

/** Carries a step out, unless the operation has what it made already, and shows it in the operation's table. */
async function trackedStep(
  tracker: OperationTracker,
  history: StepHistory,
  { host, name, activityId, summary }: WhichStep,
  call: (options: ActivityOptions) => Promise<unknown>,
): Promise<unknown> {
  return await oncePerOperation(name, activityId, history.done, () =>
    tracker.track({ step: name, activityId, summary }, () => call({ ...optionsOf(host, name), activityId, summary })),
  );
}

function activityIdOf(step: string, { generation = 1 }: StepHistory): string {
  return generation === 1 ? step : `${step}@${generation}`;
}

async function oncePerOperation(
  name: StepName,
  activityId: string,
  done: DoneSteps | undefined,
  run: () => Promise<unknown>,
): Promise<unknown> {
  if (done === undefined || !isKeptWhileParked(name)) return await run();
  if (done.has(activityId) && standsOverParking(name)) return done.get(activityId);
  done.delete(activityId);
  const made = await run();
  done.set(activityId, made);
  return made;
}

function optionsOf(host: string, name: StepName): ActivityOptions {
  return {
    taskQueue: hostTaskQueue(host, steps[name].lane),
    heartbeatTimeout: stepTimes.heartbeatTimeoutMs,
    // Nothing may still write when an undo begins.
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    // A worker's death is no failure of the step, so attempts are not counted.
    retry: {
      initialInterval: stepTimes.firstRetryAfterMs,
      backoffCoefficient: 2,
      maximumInterval: stepTimes.longestRetryPauseMs,
      // A host of an older release does not get to know a step by being asked again; only an undo waits until it does.
      ...(isEndless(name) ? {} : { nonRetryableErrorTypes: [unknownStepType] }),
    },
    // An undo has no end, but each attempt has: clearing a large volume takes hours. A dead worker's shows by its heartbeats.
    ...(isEndless(name)
      ? { startToCloseTimeout: stepTimes.stepTimeoutMs }
      : { scheduleToCloseTimeout: stepTimes.stepTimeoutMs }),
  };
}

async function callActivity(host: string, name: StepName, options: ActivityOptions, input: unknown): Promise<unknown> {
  const activities = proxyActivities<UntypedActivities>(options);
  try {
    return await activities[name](input);
  } catch (error) {
    // Temporal does not try a cancelled step again, so that one whose worker died then ends as timed out.
    if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('the operation was cancelled');
    throw failedStep(name, host, error);
  }
}

/**
 * The first step of an operation. A host that nobody polls for is said within a minute instead of being waited for; as
 * nothing was started then, there is nothing to undo. A host that goes away later is waited for, so only the first
 * attempt has this limit.
 */
export async function firstContact<Name extends OpeningStep>(
  host: string,
  tracker: OperationTracker,
  name: Name,
  summary: string,
  input: Parameters<HostActivities[Name]>[0],
  history: StepHistory = {},
): Promise<Awaited<ReturnType<HostActivities[Name]>>> {
  const which = { host, name, activityId: activityIdOf(name, history), summary };
  const call = async (options: ActivityOptions): Promise<unknown> => {
    try {
      const once = { scheduleToStartTimeout: stepTimes.firstContactTimeoutMs, retry: { maximumAttempts: 1 } };
      return await callActivity(host, name, { ...options, ...once }, input);
    } catch (failure) {
      if (!isRetryable(failure)) throw failure;
      return await callActivity(host, name, options, input);
    }
  };
  return (await trackedStep(tracker, history, which, call)) as Awaited<ReturnType<HostActivities[Name]>>;
}
