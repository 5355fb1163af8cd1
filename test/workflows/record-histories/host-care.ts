import type { WorkflowHandle } from '@temporalio/client';
import { startWorkflow } from '../../../client/workflow-calls.ts';
import { type TendReport, tendWorkflowId } from '../../../domain/host-care.ts';
import { failFinally, type Recorder, strike, untilPhase } from './recorder.ts';

/** A boot was terminated when half of it was made: that goes. */
export async function tended(recorder: Recorder): Promise<WorkflowHandle> {
  failFinally(recorder.host, 'createSwapDisk');
  const begun = await recorder.create({ onFailure: 'hold' });
  await untilPhase(begun, 'NeedsOperator');
  await begun.handle.terminate();
  return await tend(recorder);
}

/** The machine was started since its guests were last looked at. */
export async function tendedAfterReboot(recorder: Recorder): Promise<WorkflowHandle> {
  strike(recorder.host, 'tendHost', async (run) => ({ ...((await run()) as TendReport), resumeGuests: true }));
  return await tend(recorder);
}

async function tend({ host }: Recorder): Promise<WorkflowHandle> {
  const order = { host: host.name, dryRun: false };
  return await startWorkflow(host.client, 'tendHost', order, { workflowId: tendWorkflowId(host.name) });
}
