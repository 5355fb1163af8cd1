import type { Claim } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { instanceWorkflowId, type OperationMemo } from '../../domain/operations.ts';
import { askForRun } from './describe-run.ts';

/**
 * Throws OperationSuperseded unless the operation that carries the claim is the one that runs on the instance now. A
 * host that was cut off from Temporal, or stood still, may come back with a step of an operation that has moved to
 * another host or has ended; nothing of it may become a guest. Throws TemporalUnreachable when that cannot be found
 * out.
 */
export async function fenceOperation(claim: Claim): Promise<void> {
  const running = await runningOperation(claim.instanceId);
  const { operationId } = claim;
  // Without a memo it was started by hand, and there is nothing to compare.
  if (running !== null && (running.operationId === undefined || running.operationId === operationId)) return;
  const how =
    running === null ? 'no operation runs on it any more' : 'another operation runs on it, or it went to another host';
  throw new EverbootFailure(
    'OperationSuperseded',
    `this step of an operation on ${claim.instanceId} came too late: ${how}`,
  );
}

/** The operation that runs on an instance now, as its workflow's memo names it; null: none does. */
async function runningOperation(instanceId: string): Promise<Partial<OperationMemo> | null> {
  const unknown = `whether the operation on ${instanceId} still runs is not known`;
  const run = await askForRun({ workflowId: instanceWorkflowId(instanceId) }, unknown);
  return run?.status.name === 'RUNNING' ? (run.memo ?? {}) : null;
}
