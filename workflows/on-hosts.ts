import { isCancellation, uuid4 } from '@temporalio/workflow';
import type { CreateInstanceInput, InstanceResult, RequestedInstance } from '../domain/operations.ts';
import { type Attempt, openAttempt } from './attempt.ts';
import { leaveTombstone } from './leave-tombstone.ts';
import type { OperationTracker } from './operation-tracker.ts';
import type { OperatorDesk } from './operator-desk.ts';
import { everbootFailure } from './step-failure.ts';

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
    const { hasLeftSomething, withDomain } = current.left();
    const remains = { host, instanceId: input.spec.id, operationId, name: input.spec.name, withDomain };
    if (end.kind === 'gone') {
      tracker.leaveSteps();
      tracker.note(`given up on ${host}`);
      if (hasLeftSomething) await leaveTombstone(remains);
      const failure = current.failure() ?? givenUp(host);
      tracker.enter(isCancellation(failure) ? 'Cancelled' : 'Failed');
      throw failure;
    }
    if (end.kind === 'changed') request = end.request;
    else host = nextHosts.shift() ?? host;
    operationId = uuid4();
    tracker.leaveSteps();
    tracker.note(
      end.kind === 'changed' ? 'begins anew with a changed spec' : `goes on on ${host}, attempt ${generation + 1}`,
    );
    // First, so that what the host that was left still does is too late from here on.
    tracker.goOnAs({ operationId, host, generation: generation + 1, specDigest: request.specDigest });
    if (end.kind === 'unreachable' && hasLeftSomething) await leaveTombstone(remains);
    tracker.enter('Building');
  }
}

function givenUp(host: string): Error {
  const message = `an operator gave the host ${host} up; it removes what it has when it is back`;
  return everbootFailure('HostUnreachable', message);
}
