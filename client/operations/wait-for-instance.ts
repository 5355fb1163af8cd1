import { EverbootFailure } from '../../domain/failures.ts';
import type { InstanceResult } from '../../domain/operations.ts';
import { untilParked } from '../progress/until-parked.ts';
import { checkInstanceId, unknownInstance } from '../request/instance-id.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { parkedFailure } from '../temporal/operation-failure.ts';
import { findRun } from '../temporal/operation-run.ts';
import { type Outcome, type WaitOptions, waitForOutcome } from '../temporal/outcome.ts';
import type { StartedInstance } from './create-instance.ts';

/** A creation that is waited for. */
type AwaitedRun = Pick<StartedInstance, 'instanceId' | 'runId' | 'onFailure'>;

/**
 * Waits until an instance is ready and returns what was made. Given an id, it is the newest operation that is waited
 * for.
 *
 * Throws the operation’s own failure, with the step that failed, and `parked: true` when it waits for an operator
 * instead of having ended; Cancelled; InstanceNotFound, InstanceBusy where the newest operation is a deletion.
 */
export async function waitForInstance(
  context: ClientContext,
  instance: string | StartedInstance,
  options: WaitOptions = {},
): Promise<InstanceResult> {
  const run = typeof instance === 'string' ? await newestCreation(context, instance) : instance;
  const { result, failure } =
    run.onFailure === 'hold' ? await endOrPark(context, run, options) : await waitForOutcome(context, run, options);
  if (failure !== undefined) throw failure;
  return result as InstanceResult;
}

/** Only what may park is looked at again and again: Temporal reports the end of an operation by itself. */
async function endOrPark(context: ClientContext, run: AwaitedRun, options: WaitOptions): Promise<Outcome> {
  const done = new AbortController();
  const signal = options.signal === undefined ? done.signal : AbortSignal.any([options.signal, done.signal]);
  const outcome = waitForOutcome(context, run, { ...options, signal });
  const parked = untilParked(context, run.instanceId, signal).then((report) =>
    report === null ? outcome : { failure: parkedFailure(run.instanceId, report) },
  );
  try {
    return await Promise.race([outcome, parked]);
  } finally {
    done.abort();
    // Whichever is the slower one ends by the signal, with nobody to hear of it.
    for (const waiting of [outcome, parked]) waiting.catch(() => undefined);
  }
}

async function newestCreation(context: ClientContext, instanceId: string): Promise<AwaitedRun> {
  checkInstanceId(instanceId);
  const run = await findRun(context, instanceId);
  if (run === null) throw unknownInstance(instanceId);
  const { memo, runId, status } = run;
  if (memo.operation === 'create') return { instanceId, runId, onFailure: memo.onFailure ?? 'undo' };
  if (status === 'running') throw new EverbootFailure('InstanceBusy', `the instance ${instanceId} is being deleted`);
  throw new EverbootFailure('InstanceNotFound', `the instance ${instanceId} was deleted`);
}
