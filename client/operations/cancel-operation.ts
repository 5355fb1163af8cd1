import { WorkflowNotFoundError } from '@temporalio/common';
import { instanceWorkflowId, type Phase } from '../../domain/operations.ts';
import { checkSomebodyPolls } from '../hosts/hosts.ts';
import { checkInstanceId, unknownInstance } from '../request/instance-id.ts';
import { callTemporal } from '../temporal/call-temporal.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { findRun, type OperationRun } from '../temporal/operation-run.ts';
import { type WaitOptions, waitForOutcome } from '../temporal/outcome.ts';

export interface CancelResult {
  readonly instanceId: string;
  readonly operation: 'create' | 'delete';
  /** How the operation ended: one that was nearly done may have become `Ready` all the same. */
  readonly phase: Phase;
  /** False: nothing was running any more, or the operation was done before it could be stopped. */
  readonly cancelled: boolean;
}

/**
 * Cancels what is being done to an instance and waits until it is undone. Where nothing runs, it says how the last
 * operation ended. Throws InstanceNotFound for an id that Temporal does not know.
 */
export async function cancelOperation(
  context: ClientContext,
  instanceId: string,
  options: WaitOptions = {},
): Promise<CancelResult> {
  checkInstanceId(instanceId);
  const run = await findRun(context, instanceId);
  if (run === null) throw unknownInstance(instanceId);
  const { operation } = run.memo;
  if (run.status !== 'running') return { instanceId, operation, phase: run.phase, cancelled: false };
  await stop(context, run, options);
  const ended = (await findRun(context, instanceId, run.runId)) ?? run;
  return { instanceId, operation, phase: ended.phase, cancelled: ended.status === 'cancelled' };
}

/** Asks a running operation to stop, and waits until it has undone what it did. */
export async function stop(context: ClientContext, run: OperationRun, options: WaitOptions): Promise<void> {
  const handle = context.client.workflow.getHandle(instanceWorkflowId(run.instanceId), run.runId);
  try {
    await callTemporal(context, () => handle.cancel());
  } catch (error) {
    // It ended by itself in between.
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
  // It is recorded and will be done; but with no worker at all, waiting for that would last indefinitely without a
  // word.
  await checkSomebodyPolls(context);
  await waitForOutcome(context, run, options);
}
