import { WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';
import { EverbootFailure } from '../../domain/failures.ts';
import { instanceWorkflowId, type RequestedInstance } from '../../domain/operations.ts';
import type { QueryName, UpdateName, WorkflowQueries, WorkflowUpdates } from '../../domain/workflows.ts';
import { checkSomebodyPolls } from '../hosts/hosts.ts';
import { checkInstanceId, unknownInstance } from '../request/instance-id.ts';
import { callTemporal, isConnectionTrouble, isWithoutPoller } from '../temporal/call-temporal.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { operationFailure } from '../temporal/operation-failure.ts';
import { findRun, type OperationRun } from '../temporal/operation-run.ts';
import { queryWorkflow, updateWorkflow } from '../temporal/workflow-calls.ts';

/** Longer than Temporal keeps a task for a worker that was killed before it gives it to another one (10 s). */
const answerTimeoutMs = 30_000;

/** The operation on an instance that runs now. Throws InstanceNotFound, OperationEnded (saying how). */
export async function runningOperation(context: ClientContext, instanceId: string): Promise<OperationRun> {
  checkInstanceId(instanceId);
  const run = await findRun(context, instanceId);
  if (run === null) throw unknownInstance(instanceId);
  if (run.status === 'running') return run;
  throw ended(run);
}

/**
 * Sends an operator's decision to a running operation as a Temporal update, and returns when a worker has accepted it.
 * Throws InstanceBusy (it is not parked), OperationEnded, HostUnreachable (no worker of any host took it).
 */
export async function updateOperation<Name extends UpdateName>(
  context: ClientContext,
  run: OperationRun,
  name: Name,
  request: WorkflowUpdates[Name],
): Promise<void> {
  // An update that no worker accepts now may be accepted later, when it is not meant any more, so none is sent where
  // nobody answers.
  await ask(context, run, 'progress');
  const handle = context.client.workflow.getHandle(instanceWorkflowId(run.instanceId), run.runId);
  try {
    await callTemporal(context, () => updateWorkflow(handle, name, request), answerTimeoutMs);
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) throw operationFailure(run.instanceId, error.cause);
    throw await whyUnheard(context, run, { error, wasSent: true });
  }
}

/** The request of a running creation, its secrets sealed. Throws OperationEnded, HostUnreachable. */
export async function askRequest(context: ClientContext, run: OperationRun): Promise<RequestedInstance> {
  return await ask(context, run, 'request');
}

async function ask<Name extends QueryName>(
  context: ClientContext,
  run: OperationRun,
  query: Name,
): Promise<WorkflowQueries[Name]> {
  await checkSomebodyPolls(context);
  const handle = context.client.workflow.getHandle(instanceWorkflowId(run.instanceId), run.runId);
  try {
    return await callTemporal(context, () => queryWorkflow(handle, query), answerTimeoutMs);
  } catch (error) {
    throw await whyUnheard(context, run, { error, wasSent: false });
  }
}

/** Says how an operation stands instead of waiting for somebody. */
export function notParked({ instanceId, memo, phase }: OperationRun): EverbootFailure {
  const words = `the ${memo.operation} of ${instanceId} does not wait for an operator, it is ${phase}`;
  return new EverbootFailure('InstanceBusy', words);
}

async function whyUnheard(
  context: ClientContext,
  run: OperationRun,
  { error, wasSent }: { readonly error: unknown; readonly wasSent: boolean },
): Promise<unknown> {
  const { instanceId } = run;
  const now = await findRun(context, instanceId, run.runId);
  if (error instanceof WorkflowNotFoundError || (now !== null && now.status !== 'running')) return ended(now ?? run);
  const isUnanswered =
    error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isConnectionTrouble(error) || isWithoutPoller(error);
  if (!isUnanswered) return error;
  if (!wasSent) {
    return new EverbootFailure('HostUnreachable', `no worker answers for the operation on ${instanceId}`, {
      remedy: 'The operation got no update. Start a worker, then repeat the command.',
    });
  }
  return new EverbootFailure(
    'HostUnreachable',
    `no worker accepted the update to ${instanceId} within ${answerTimeoutMs / 1000} s`,
    {
      remedy: `A worker may still accept it later: run \`everboot show ${instanceId}\` before repeating the command.`,
    },
  );
}

function ended({ instanceId, memo, phase }: OperationRun): EverbootFailure {
  const words = `the last operation on ${instanceId}, ${memo.operation}, has ended as ${phase}`;
  return new EverbootFailure('OperationEnded', words);
}
