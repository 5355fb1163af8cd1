import { isCancellation, uuid4 } from '@temporalio/workflow';
import type { Made } from '../domain/attempt.ts';
import type { CleanUpHostInput, CreateInstanceInput, InstanceResult, RequestedInstance } from '../domain/operations.ts';
import { type Attempt, runAttempt } from './attempt.ts';
import { deferCleanup } from './defer-cleanup.ts';
import type { OperationTracker } from './operation-tracker.ts';
import type { OperatorUpdates } from './operator-updates.ts';
import { everbootFailure } from './step-failure.ts';

/**
 * Builds the instance on the first host; on the next one of the request's hosts when that one is gone, and again when
 * an operator changed the request of a parked attempt. Each further attempt is a generation of its own: it has claims
 * of its own, so that nothing a late step of an earlier one does can be taken for its work. A host that was left gets a
 * deferred cleanup.
 */
export async function onHosts(
  input: CreateInstanceInput,
  tracker: OperationTracker,
  updates: OperatorUpdates,
  build: (attempt: Attempt) => Promise<InstanceResult>,
): Promise<InstanceResult> {
  const nextHosts = (input.hosts ?? []).filter((host) => host !== input.host);
  let { host, operationId } = input;
  let request: RequestedInstance = { spec: input.spec, flavor: input.flavor, specDigest: input.specDigest };
  for (let generation = 1; ; generation += 1) {
    const mayMove = nextHosts.length > 0;
    const place = { host, operationId, generation, request, mayMove, unreachableAfterMs: input.hostUnreachableAfterMs };
    const outcome = await runAttempt(place, tracker, updates, build);
    if (outcome.at === 'made') return outcome.result;
    const left = { host, instanceId: input.spec.id, operationId, name: input.spec.name };
    if (outcome.at === 'gone') {
      tracker.leaveSteps();
      tracker.note(`abandoned on ${host}`);
      await deferCleanupOf(left, outcome.leaves);
      const failure = outcome.failure ?? givenUp(host);
      tracker.enter(isCancellation(failure) ? 'Cancelled' : 'Failed');
      throw failure;
    }
    if (outcome.at === 'changed') request = outcome.request;
    else host = nextHosts.shift() ?? host;
    operationId = uuid4();
    tracker.leaveSteps();
    tracker.note(
      outcome.at === 'changed' ? 'restarting with a changed spec' : `continuing on ${host} (attempt ${generation + 1})`,
    );
    // First, so that what the host that was left still does is too late from here on.
    tracker.continueAs({ operationId, host, generation: generation + 1, specDigest: request.specDigest });
    if (outcome.at === 'unreachable') await deferCleanupOf(left, outcome.leaves);
    tracker.enter('Building');
  }
}

/** A host on which nothing was made has nothing to remove. */
async function deferCleanupOf(left: Omit<CleanUpHostInput, 'withDomain'>, leaves: Made): Promise<void> {
  if (leaves !== 'nothing') await deferCleanup({ ...left, withDomain: leaves === 'domain' });
}

function givenUp(host: string): Error {
  const message = `an operator abandoned the host ${host}; its orphans are removed when it is back`;
  return everbootFailure('HostUnreachable', message);
}
