import type { WorkflowExecutionDescription, WorkflowExecutionInfo } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, WorkflowNotFoundError } from '@temporalio/common';
import {
  instanceWorkflowId,
  type OperationMemo,
  type Phase,
  type searchAttributeNames,
} from '../../domain/operations.ts';
import type { WorkflowName } from '../../domain/workflows.ts';
import { callTemporal } from './call-temporal.ts';
import type { ClientContext } from './client-context.ts';

/** One operation on an instance, as Temporal knows it. */
export interface OperationRun {
  readonly instanceId: string;
  readonly runId: string;
  readonly memo: OperationMemo;
  readonly phase: Phase;
  /** For people: the image’s name. */
  readonly image: string | null;
  readonly status: 'running' | 'completed' | 'failed' | 'cancelled' | 'terminated';
  readonly startedAt: string;
  readonly endedAt?: string;
}

/** An operation with the steps that its worker has not finished. */
export interface DescribedRun extends OperationRun {
  readonly description: WorkflowExecutionDescription;
}

/** A workflow's newest run, or a certain one, as Temporal knows it now; null: it knows none. */
export async function describeRun(
  context: ClientContext,
  workflowId: string,
  runId?: string,
): Promise<WorkflowExecutionDescription | null> {
  try {
    const handle = context.client.workflow.getHandle(workflowId, runId);
    return await callTemporal(context, () => handle.describe());
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** Asks Temporal for an instance’s newest operation, or for a certain one; null: Temporal knows none. */
export async function findRun(
  context: ClientContext,
  instanceId: string,
  runId?: string,
): Promise<DescribedRun | null> {
  const description = await describeRun(context, instanceWorkflowId(instanceId), runId);
  return description === null ? null : { ...operationRun(description), description };
}

type AttributeName = (typeof searchAttributeNames)[number];

/** A search attribute of ours, typed. */
export function attributeKey(name: AttributeName) {
  return defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);
}

/** Reads what the client wrote when it started the run, and what has become of it. */
export function operationRun(
  info: Pick<WorkflowExecutionInfo, keyof WorkflowExecutionInfo> | WorkflowExecutionDescription,
): OperationRun {
  const operation = info.type === ('deleteInstance' satisfies WorkflowName) ? 'delete' : 'create';
  const memo = { operation, operationId: '', host: '', ...info.memo } as OperationMemo;
  const attribute = (name: AttributeName): string | undefined => info.typedSearchAttributes.get(attributeKey(name));
  const status = statusOf(info.status.name);
  return {
    instanceId: info.workflowId.replace(/^instance\//, ''),
    runId: info.runId,
    memo,
    phase: phaseOf(operation, status, attribute('EverbootPhase')),
    image: attribute('EverbootImage') ?? null,
    status,
    startedAt: info.startTime.toISOString(),
    ...(info.closeTime === undefined ? {} : { endedAt: info.closeTime.toISOString() }),
  };
}

/** How a run stands, in few words. */
export function statusOf(name: WorkflowExecutionInfo['status']['name']): OperationRun['status'] {
  switch (name) {
    case 'COMPLETED':
      return 'completed';
    case 'FAILED':
      return 'failed';
    case 'CANCELLED':
      return 'cancelled';
    // Neither has undone anything.
    case 'TIMED_OUT':
    case 'TERMINATED':
      return 'terminated';
    default:
      return 'running';
  }
}

/** A run that has ended says how by itself; only an open one’s phase is what its workflow says. */
function phaseOf(operation: OperationMemo['operation'], status: OperationRun['status'], said?: string): Phase {
  if (status === 'running') return (said as Phase | undefined) ?? (operation === 'create' ? 'Building' : 'Deleting');
  if (status === 'completed') return operation === 'create' ? 'Ready' : 'Deleted';
  return status === 'cancelled' ? 'Cancelled' : 'Failed';
}
