import { ApplicationFailure, CancellationScope, uuid4 } from '@temporalio/workflow';
import type { Claim } from '../domain/claim.ts';
import type { FailureCode } from '../domain/failures.ts';
import type { CreateInstanceInput, InstanceResult, Phase, RequestedInstance } from '../domain/operations.ts';
import type { StepHistory } from './host-steps.ts';
import { leaveTombstone } from './leave-tombstone.ts';
import type { OperationTracker } from './operation-tracker.ts';
import type { OperatorDesk } from './operator-desk.ts';
import { everbootFailure } from './step-failure.ts';
import type { FailureRules, RegisterUndo } from './undo-on-failure.ts';
import { watchingHost } from './watch-host.ts';

/** One try at an instance: on one host, for one request, with claims of its own on everything that it makes. */
export interface Attempt {
  readonly host: string;
  readonly claim: Claim;
  readonly request: RequestedInstance;
  /** Of its steps, which a parked try does not do again; and of which try they are. */
  readonly history: StepHistory;
  /** What becomes of what was made when it fails, see `undoOnFailure`. */
  readonly rules: FailureRules;
  /** Wraps the registration of undos: an attempt that registered none has left nothing. */
  readonly noting: (undo: RegisterUndo) => RegisterUndo;
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

/**
 * Builds the instance on the first host; on the next one of the request's hosts when that one is gone, and anew when an
 * operator changed the request of a parked try. Each further try is a generation of its own: it has claims of its own, so
 * that nothing a late step of an earlier one does can be taken for its work. A host that was left gets a tombstone.
 */
export async function onHosts(
  input: CreateInstanceInput,
  tracker: OperationTracker,
  desk: OperatorDesk,
  build: (attempt: Attempt) => Promise<InstanceResult>,
): Promise<InstanceResult> {
  const nextHosts = (input.hosts ?? []).filter((host) => host !== input.host);
  let { host, operationId } = input;
  let request: RequestedInstance = { spec: input.spec, flavor: input.flavor, specDigest: input.specDigest };
  for (let generation = 1; ; generation += 1) {
    const place = { host, operationId, generation, request, mayMove: nextHosts.length > 0 };
    const current = openAttempt(place, tracker, desk);
    const end = await current.run(input.hostUnreachableAfterMs, build);
    if (end.kind === 'made') return end.made;
    if (end.kind !== 'changed' && current.hasLeftSomething()) {
      await leaveTombstone({ host, instanceId: input.spec.id, operationId, name: input.spec.name });
    }
    if (end.kind === 'gone') {
      tracker.enter('Failed');
      throw everbootFailure(
        'HostUnreachable',
        `an operator gave the host ${host} up; it removes what it has when it is back`,
      );
    }
    if (end.kind === 'changed') request = end.request;
    else host = nextHosts.shift() ?? host;
    operationId = uuid4();
    tracker.goOnAs({ operationId, host, generation: generation + 1, specDigest: request.specDigest });
    tracker.enter('Building');
  }
}

interface AttemptPlace {
  readonly host: string;
  readonly operationId: string;
  readonly generation: number;
  readonly request: RequestedInstance;
  /** True: another host can take over. */
  readonly mayMove: boolean;
}

function openAttempt(place: AttemptPlace, tracker: OperationTracker, desk: OperatorDesk) {
  const { host, operationId, generation, request, mayMove } = place;
  const scope = new CancellationScope();
  const left = Promise.withResolvers<End>();
  let hasLeftSomething = false;
  let isGivenUp = false;
  let changed: RequestedInstance | undefined;

  async function decide(failure: unknown): Promise<'undo' | 'again'> {
    const { onFailure, holdFor } = request.spec;
    if (onFailure !== 'hold' || (mayMove && isUnreachable(failure))) return 'undo';
    const decision = await desk.decide(failure, holdFor);
    if (decision.kind === 'abandon') return 'undo';
    changed = decision.change;
    if (changed === undefined) tracker.enter('Building');
    return changed === undefined ? 'again' : 'undo';
  }

  const attempt: Attempt = {
    host,
    claim: { instanceId: request.spec.id, operationId },
    request,
    history: { done: new Map(), generation },
    rules: { decide, isGivenUp: () => isGivenUp },
    noting: (undo) => (name, run) => {
      hasLeftSomething = true;
      undo(name, run);
    },
  };

  async function toItsEnd(build: (attempt: Attempt) => Promise<InstanceResult>): Promise<End> {
    try {
      return { kind: 'made', made: await scope.run(() => build(attempt)) };
    } catch (error) {
      if (changed !== undefined) return { kind: 'changed', request: changed };
      if (mayMove && !hasLeftSomething && isUnreachable(error)) return { kind: 'unreachable' };
      throw error;
    }
  }

  return {
    hasLeftSomething: () => hasLeftSomething,
    async run(unreachableAfterMs: number | undefined, build: (attempt: Attempt) => Promise<InstanceResult>) {
      void desk.hostGone().then(() => left.resolve({ kind: 'gone' }));
      const onUnreachable = (before: Phase): void => {
        // What is being undone is undone there and nowhere else.
        if (mayMove && before === 'Building') left.resolve({ kind: 'unreachable' });
      };
      const rules = { unreachableAfterMs, onUnreachable, interrupt: left.promise };
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
  return error instanceof ApplicationFailure && error.type === ('HostUnreachable' satisfies FailureCode);
}
