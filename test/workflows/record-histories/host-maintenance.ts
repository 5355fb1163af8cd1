import type { WorkflowHandle } from '@temporalio/client';
import { startWorkflow } from '../../../client/temporal/workflow-calls.ts';
import { type ReconcileReport, reconcileWorkflowId } from '../../../domain/host-maintenance.ts';
import { failFinally, inject, type Recorder, untilPhase } from './recorder.ts';

/** A boot was terminated when half of it was made: that goes. */
export async function reconciled(recorder: Recorder): Promise<WorkflowHandle> {
  failFinally(recorder.host, 'createSwapDisk');
  const started = await recorder.create({ onFailure: 'hold' });
  await untilPhase(started, 'NeedsOperator');
  await started.handle.terminate();
  return await reconcile(recorder);
}

/** The machine was started since its guests were last looked at. */
export async function reconciledAfterReboot(recorder: Recorder): Promise<WorkflowHandle> {
  inject(recorder.host, 'reconcileHost', async (run) => ({
    ...((await run()) as ReconcileReport),
    resumeGuests: true,
  }));
  return await reconcile(recorder);
}

async function reconcile({ host }: Recorder): Promise<WorkflowHandle> {
  const order = { host: host.name, dryRun: false };
  return await startWorkflow(host.client, 'reconcileHost', order, { workflowId: reconcileWorkflowId(host.name) });
}
