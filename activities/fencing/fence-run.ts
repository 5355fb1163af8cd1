import { Context } from '@temporalio/activity';
import type { Claim } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { instanceWorkflowId, type OperationMemo } from '../../domain/operations.ts';
import { askForRun } from './describe-run.ts';

/**
 * Throws OperationSuperseded unless the workflow run that ordered this step is still open. A step that names only an
 * instance, and not an operation on it, must not come after its own run: another instance may have the id by then. Ask
 * it under the lock that keeps that other instance's steps out. Where a claim is given, the run must also still work
 * under it: an operation that moved to another host, or was started again, is the same run under another one. Throws
 * TemporalUnreachable when it cannot be found out.
 */
export async function fenceRun(claim?: Claim): Promise<void> {
  const { info } = Context.current();
  // A step that no workflow ordered is a person's own.
  if (info.workflowExecution === undefined) return;
  const { workflowId, runId } = info.workflowExecution;
  const run = await askForRun({ workflowId, runId }, `whether ${workflowId} still runs is not known`);
  const late = `this step of ${workflowId} came too late`;
  if (run?.status.name !== 'RUNNING') throw new EverbootFailure('OperationSuperseded', `${late}: that run has ended`);
  // A fetch without an instance is a run of another kind, which names no operation.
  if (claim === undefined || workflowId !== instanceWorkflowId(claim.instanceId)) return;
  const { operationId = claim.operationId } = (run.memo ?? {}) as Partial<OperationMemo>;
  if (operationId === claim.operationId) return;
  throw new EverbootFailure(
    'OperationSuperseded',
    `${late}: the operation moved to another host, or was started again`,
  );
}
