import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/common';
import { EverbootFailure } from '../domain/failures.ts';

/** Temporal is asked again when it does not answer in time. */
const answerWithinMs = 10_000;

/**
 * Throws OperationSuperseded unless the workflow run that ordered this step is still open. A step that names only an
 * instance, and not an operation on it, must not come after its own run: another instance may have the id by then. Ask it
 * under the lock that keeps that other instance's steps out. Throws TemporalUnreachable when it cannot be found out.
 */
export async function assertOwnRunOpen(): Promise<void> {
  const { client, info } = Context.current();
  // A step that no workflow ordered is a person's own.
  if (info.workflowExecution === undefined) return;
  const { workflowId, runId } = info.workflowExecution;
  const status = await client.connection
    .withDeadline(Date.now() + answerWithinMs, () => client.workflow.getHandle(workflowId, runId).describe())
    .then(
      (described) => described.status.name,
      (error: unknown) => {
        if (error instanceof WorkflowNotFoundError) return 'gone';
        const words = error instanceof Error ? error.message : String(error);
        throw new EverbootFailure('TemporalUnreachable', `whether ${workflowId} still runs is not known: ${words}`);
      },
    );
  if (status === 'RUNNING') return;
  throw new EverbootFailure('OperationSuperseded', `this step of ${workflowId} came too late: that run has ended`);
}
