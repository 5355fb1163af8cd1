import { CancellationScope } from '@temporalio/workflow';
import { reportIn } from '../domain/application-failure.ts';
import type { Claim } from '../domain/claim.ts';
import type { FailureCode } from '../domain/failures.ts';
import type { InstanceResult, RequestedInstance } from '../domain/operations.ts';
import type { StepHistory } from './host-steps.ts';
import { type OperationTracker, untilGivenUp } from './operation-tracker.ts';
import type { OperatorDesk } from './operator-desk.ts';
import type { FailureRules } from './undo-on-failure.ts';
import { watchingHost } from './watch-host.ts';

/** One try at an instance: on one host, for one request, with claims of its own on everything that it makes. */
export interface Attempt {
  readonly host: string;
  readonly claim: Claim;
  readonly request: RequestedInstance;
  /** The operation's, for as long as this try is not given up. */
  readonly tracker: OperationTracker;
  /** Of its steps, which a parked try does not do again; and of which try they are. */
  readonly history: StepHistory;
  /** What becomes of what was made when it fails, see `undoOnFailure`. */
  readonly rules: FailureRules;
  /** Called before its guest is started: from then on the guest may run there, and the host's silence moves nothing. */
  readonly startsGuest: () => void;
}

/** How a try ended, where it did not fail. */
type End =
  | { readonly kind: 'made'; readonly made: InstanceResult }
  /** The host has been away for too long, or never answered. */
  | { readonly kind: 'unreachable' }
  /** An operator said that the host is gone. */
  | { readonly kind: 'gone' }
  /** An operator changed the request; what was made for the old one is undone. */
  | { readonly kind: 'changed'; readonly request: RequestedInstance };

interface AttemptPlace {
  readonly host: string;
  readonly operationId: string;
  readonly generation: number;
  readonly request: RequestedInstance;
  /** True: another host can take over. */
  readonly mayMove: boolean;
}

/** Opens a try. `run` carries it out until it ends, or its host is given up; the others tell of it then. */
export function openAttempt(place: AttemptPlace, tracker: OperationTracker, desk: OperatorDesk) {
  const { host, operationId, generation, request, mayMove } = place;
  const scope = new CancellationScope();
  const left = Promise.withResolvers<End>();
  const history: StepHistory & { readonly done: Map<string, unknown> } = { done: new Map(), generation };
  const undos = new Set<string>();
  let startsGuest = false;
  let isGivenUp = false;
  let changed: RequestedInstance | undefined;
  let failed: { readonly failure: unknown } | undefined;
  const canMove = (failure: unknown): boolean => mayMove && undos.size === 0 && isUnreachable(failure);
  const moveAway = (): void => {
    // What is being undone is undone there and nowhere else, and so is what waits for an operator.
    if (mayMove && !startsGuest && tracker.phase() === 'Building') left.resolve({ kind: 'unreachable' });
  };

  async function decide(failure: unknown): Promise<'undo' | 'again'> {
    const { onFailure, holdFor } = request.spec;
    if (onFailure !== 'hold' || canMove(failure)) return 'undo';
    tracker.note(`waits for an operator: ${failure instanceof Error ? failure.message : String(failure)}`);
    failed = { failure };
    const decision = await desk.decide(failure, { forSeconds: holdFor, keeps: [...history.done.keys()] });
    if (decision.kind === 'abandon') {
      tracker.note('abandoned');
      return 'undo';
    }
    changed = decision.change;
    if (changed !== undefined) return 'undo';
    failed = undefined;
    tracker.note('an operator had it go on');
    tracker.enter('Building');
    if (tracker.absence()?.phase === 'HostUnreachable') moveAway();
    return 'again';
  }

  const attempt: Attempt = {
    ...{ host, claim: { instanceId: request.spec.id, operationId }, request, history },
    tracker: untilGivenUp(tracker, () => isGivenUp),
    rules: {
      decide,
      onUndo: (failure) => {
        failed = { failure };
      },
      isGivenUp: () => isGivenUp,
      // A try that registered no undo has left nothing.
      onRegister: (name) => {
        undos.add(name);
      },
    },
    startsGuest: () => {
      startsGuest = true;
    },
  };

  async function toItsEnd(build: (attempt: Attempt) => Promise<InstanceResult>): Promise<End> {
    try {
      return { kind: 'made', made: await scope.run(() => build(attempt)) };
    } catch (error) {
      if (changed !== undefined) return { kind: 'changed', request: changed };
      if (canMove(error)) return { kind: 'unreachable' };
      throw error;
    }
  }

  return {
    /** What a host that is given up has to remove. */
    left: () => ({ hasLeftSomething: undos.size > 0, withDomain: undos.has('removeDomain') }),
    /** What the try was parked or being undone for when it was given up. */
    failure: () => failed?.failure,
    async run(unreachableAfterMs: number | undefined, build: (attempt: Attempt) => Promise<InstanceResult>) {
      void desk.hostGone().then(() => left.resolve({ kind: 'gone' }));
      const rules = { unreachableAfterMs, onUnreachable: moveAway, interrupt: left.promise };
      const end = await watchingHost<End>(host, tracker, () => toItsEnd(build), rules);
      if (end.kind === 'unreachable' || end.kind === 'gone') {
        isGivenUp = true;
        scope.cancel();
      }
      return end;
    },
  };
}

function isUnreachable(error: unknown): boolean {
  return reportIn(error)?.code === ('HostUnreachable' satisfies FailureCode);
}
