import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { CancellationScope, ParentClosePolicy, startChild } from '@temporalio/workflow';
import { type ClearRemainsInput, remainsWorkflowId } from '../domain/operations.ts';
import { type Workflows, workflowStart } from '../domain/workflows.ts';

/**
 * Leaves word for a host that was given up: a workflow of its own, `clearRemains`, which waits on the host's queue for as
 * long as it takes and removes what the operation left there. It outlives this operation.
 */
export async function leaveTombstone(input: ClearRemainsInput): Promise<void> {
  const { workflowType, args } = workflowStart('clearRemains', input);
  await CancellationScope.nonCancellable(async () => {
    try {
      await startChild<Workflows['clearRemains']>(workflowType, {
        args,
        workflowId: remainsWorkflowId(input),
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: `remove on ${input.host} what ${input.name} left there`,
      });
    } catch (error) {
      // A run that was reset has left it before.
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  });
}
