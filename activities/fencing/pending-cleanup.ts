import { cleanupWorkflowId } from '../../domain/operations.ts';
import { askForRun } from './describe-run.ts';

/**
 * Whether a deferred cleanup waits for this host to remove what an operation made of an instance: the operation's own,
 * or that of the instance's deletion. Throws TemporalUnreachable when it cannot be found out.
 */
export async function hasPendingCleanup(host: string, instanceId: string, operationId: string): Promise<boolean> {
  for (const whose of [operationId, null]) {
    if (await isOpen(cleanupWorkflowId({ host, instanceId, operationId: whose }))) return true;
  }
  return false;
}

async function isOpen(workflowId: string): Promise<boolean> {
  const run = await askForRun({ workflowId }, `whether ${workflowId} still runs is not known`);
  return run?.status.name === 'RUNNING';
}
