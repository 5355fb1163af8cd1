import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { CancellationScope, ParentClosePolicy, startChild } from '@temporalio/workflow';
import { type CleanUpHostInput, cleanupWorkflowId } from '../domain/operations.ts';
import { type Workflows, workflowStart } from '../domain/workflows.ts';

/**
 * Defers the cleanup of an abandoned host: starts a workflow of its own, `cleanUpHost`, which waits on the host's queue
 * for as long as it takes and removes what the operation left there. It outlives this operation.
 */
export async function deferCleanup(input: CleanUpHostInput): Promise<void> {
  const { workflowType, args } = workflowStart('cleanUpHost', input);
  await CancellationScope.nonCancellable(async () => {
    try {
      await startChild<Workflows['cleanUpHost']>(workflowType, {
        args,
        workflowId: cleanupWorkflowId(input),
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: `remove on ${input.host} what ${input.name} left there`,
      });
    } catch (error) {
      // A run that was reset has left it before.
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  });
}
