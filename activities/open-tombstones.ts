import { getClient } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/common';
import { EverbootFailure } from '../domain/failures.ts';
import { remainsWorkflowId } from '../domain/operations.ts';

/** Temporal is asked again when it does not answer in time. */
const answerWithinMs = 10_000;

/**
 * Whether a tombstone waits for this host to remove what an operation made of an instance: the operation's own, or that
 * of the instance's deletion. Throws TemporalUnreachable when it cannot be found out.
 */
export async function hasOpenTombstone(host: string, instanceId: string, operationId: string): Promise<boolean> {
  for (const whose of [operationId, null]) {
    if (await isOpen(remainsWorkflowId({ host, instanceId, operationId: whose, name: '' }))) return true;
  }
  return false;
}

async function isOpen(workflowId: string): Promise<boolean> {
  const client = getClient();
  try {
    const described = await client.connection.withDeadline(Date.now() + answerWithinMs, () =>
      client.workflow.getHandle(workflowId).describe(),
    );
    return described.status.name === 'RUNNING';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    const words = error instanceof Error ? error.message : String(error);
    throw new EverbootFailure('TemporalUnreachable', `whether ${workflowId} still runs is not known: ${words}`);
  }
}
