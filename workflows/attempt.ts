import { CancellationScope, isCancellation } from '@temporalio/workflow';
import { reportIn } from '../domain/application-failure.ts';
import {
  type AttemptEnd,
  type AttemptEvent,
  type AttemptState,
  type GivenUp,
  isGivenUp,
  newAttempt,
  nextAttempt,
} from '../domain/attempt.ts';
import type { Claim } from '../domain/claim.ts';
import type { FailureCode } from '../domain/failures.ts';
import type { InstanceResult, RequestedInstance } from '../domain/operations.ts';
import type { StepHistory } from './host-steps.ts';
import { type OperationTracker, untilGivenUp } from './operation-tracker.ts';
import type { OperatorUpdates } from './operator-updates.ts';
import type { FailureRules } from './undo-on-failure.ts';
import { watchingHost } from './watch-host.ts';

/** One attempt at an instance: on one host, for one request, with claims of its own on everything that it makes. */
export interface Attempt {
  readonly host: string;
  readonly claim: Claim;
  readonly request: RequestedInstance;
  /** The operation's, for as long as this attempt is not abandoned. */
  readonly tracker: OperationTracker;
  /** Of its steps, which a parked attempt does not repeat; and of which attempt they are. */
  readonly history: StepHistory;
  /** The rules for a failure, see `undoOnFailure`. */
  readonly rules: FailureRules;
  /** Called before its guest is started: from then on the guest may run there, and the host's silence moves nothing. */
  readonly startsGuest: () => void;
  /** Called when the instance is ready: from then on it lives, and nothing gives it up. */
  readonly lives: () => void;
}

/** How an attempt ended, where it did not fail. */
export type Outcome =
  | { readonly at: 'made'; readonly result: InstanceResult }
  | Extract<AttemptEnd, { readonly at: 'changed' | GivenUp['at'] }>;

export interface AttemptPlace {
  readonly host: string;
  readonly operationId: string;
  readonly generation: number;
  readonly request: RequestedInstance;
  /** True: another host can take over. */
  readonly mayMove: boolean;
  /** For how long the host may be away, see `WatchRules`. */
  readonly unreachableAfterMs: number | undefined;
}

/**
 * Carries out an attempt until it ends, or its host is abandoned. `nextAttempt` alone decides its states; here the
 * events are brought to it, and the state that it returns is carried out. Throws what the attempt failed with.
 */
export async function runAttempt(
  place: AttemptPlace,
  tracker: OperationTracker,
  updates: OperatorUpdates,
  build: (attempt: Attempt) => Promise<InstanceResult>,
): Promise<Outcome> {
  const { host, operationId, generation, request, unreachableAfterMs } = place;
  const course = openCourse(newAttempt({ mayMove: place.mayMove, holds: request.spec.onFailure === 'hold' }));
  const history = { done: new Map<string, unknown>(), generation };
  const attempt: Attempt = {
    ...{ host, claim: { instanceId: request.spec.id, operationId }, request, history },
    tracker: untilGivenUp(tracker, course.isGivenUp),
    rules: failureRules(course, tracker, updates, { holdFor: request.spec.holdFor, done: history.done }),
    startsGuest: () => void course.on({ kind: 'guestStarts' }),
    lives: () => void course.on({ kind: 'made' }),
  };
  const scope = new CancellationScope();
  void updates.hostGone().then(() => course.on({ kind: 'hostGone' }));
  const outcome = await watchingHost<Outcome>(host, tracker, () => toItsEnd(course, scope, () => build(attempt)), {
    unreachableAfterMs,
    onUnreachable: () => void course.on({ kind: 'hostUnreachable' }),
    interrupt: course.givenUp,
  });
  // Its steps need not be awaited: whatever they still do is too late.
  if (course.isGivenUp()) scope.cancel();
  return outcome;
}

/** The state of an attempt, which every event goes through. */
interface Course {
  on(event: AttemptEvent): AttemptState;
  isGivenUp(): boolean;
  /** Settles when the attempt is abandoned; never before. */
  readonly givenUp: Promise<GivenUp>;
}

function openCourse(first: AttemptState): Course {
  const { promise: givenUp, resolve } = Promise.withResolvers<GivenUp>();
  let state = first;
  return {
    on(event) {
      state = nextAttempt(state, event);
      if (isGivenUp(state)) resolve(state);
      return state;
    },
    isGivenUp: () => isGivenUp(state),
    givenUp,
  };
}

async function toItsEnd(
  course: Course,
  scope: CancellationScope,
  build: () => Promise<InstanceResult>,
): Promise<Outcome> {
  try {
    const result = await scope.run(build);
    course.on({ kind: 'made' });
    return { at: 'made', result };
  } catch (error) {
    const end = course.on({ kind: 'undone' });
    if (end.at === 'changed' || isGivenUp(end)) return end;
    throw error;
  }
}

interface Holding {
  readonly holdFor: number | undefined;
  /** The steps that were done, by their ids. */
  readonly done: ReadonlyMap<string, unknown>;
}

/** The questions and reports of `undoOnFailure` as events, and an operator's decisions on a parked attempt. */
function failureRules(
  course: Course,
  tracker: OperationTracker,
  updates: OperatorUpdates,
  { holdFor, done }: Holding,
): FailureRules {
  return {
    async decide(failure) {
      const { at } = course.on({ kind: 'failed', failure, isUnreachable: isUnreachable(failure) });
      if (at !== 'parked') return 'undo';
      tracker.note(`waits for an operator: ${failure instanceof Error ? failure.message : String(failure)}`);
      const decision = await updates.decide(failure, { forSeconds: holdFor, keeps: [...done.keys()] });
      if (decision.kind === 'abandon') {
        tracker.note('abandoned');
        course.on({ kind: 'abandoned' });
        return 'undo';
      }
      if (decision.change !== undefined) {
        course.on({ kind: 'changed', request: decision.change });
        return 'undo';
      }
      tracker.note('resumed by an operator');
      tracker.enter('Building');
      course.on({ kind: 'retried' });
      if (tracker.absence()?.phase === 'HostUnreachable') course.on({ kind: 'hostUnreachable' });
      return 'again';
    },
    onUndo(failure) {
      if (isCancellation(failure)) course.on({ kind: 'cancelled', failure });
    },
    onRegister: (name) => void course.on({ kind: 'leaves', leaves: name === 'removeDomain' ? 'domain' : 'files' }),
    isGivenUp: course.isGivenUp,
  };
}

function isUnreachable(error: unknown): boolean {
  return reportIn(error)?.code === ('HostUnreachable' satisfies FailureCode);
}
