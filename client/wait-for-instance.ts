import { EverbootFailure } from '../domain/failures.ts';
import type { InstanceResult } from '../domain/operations.ts';
import type { ClientContext } from './client-context.ts';
import type { StartedInstance } from './create-instance.ts';
import { checkInstanceId } from './instance-id.ts';
import { findRun } from './operation-run.ts';
import { type WaitOptions, waitForOutcome } from './outcome.ts';

/**
 * Waits until an instance is ready and returns what was made. Given an id, it is the newest operation that is waited for.
 *
 * Throws the operation’s own failure, with the step that failed; Cancelled; InstanceNotFound, InstanceBusy where the
 * newest operation is a deletion.
 */
export async function waitForInstance(
  context: ClientContext,
  instance: string | StartedInstance,
  options: WaitOptions = {},
): Promise<InstanceResult> {
  const run = typeof instance === 'string' ? await newestCreation(context, instance) : instance;
  const { result, failure } = await waitForOutcome(context, run, options);
  if (failure !== undefined) throw failure;
  return result as InstanceResult;
}

async function newestCreation(
  context: ClientContext,
  instanceId: string,
): Promise<{ readonly instanceId: string; readonly runId: string }> {
  checkInstanceId(instanceId);
  const run = await findRun(context, instanceId);
  if (run === null) throw new EverbootFailure('InstanceNotFound', `Temporal does not know the instance ${instanceId}`);
  if (run.memo.operation === 'create') return run;
  if (run.status === 'running')
    throw new EverbootFailure('InstanceBusy', `the instance ${instanceId} is being deleted`);
  throw new EverbootFailure('InstanceNotFound', `the instance ${instanceId} was deleted`);
}
