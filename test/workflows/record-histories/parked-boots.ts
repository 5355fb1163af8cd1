import type { WorkflowHandle } from '@temporalio/client';
import { queryWorkflow, updateWorkflow } from '../../../client/temporal/workflow-calls.ts';
import { failFinally, type Recorder, type Started, untilPhase } from './recorder.ts';

/** A boot that waits for an operator, since its swap could not be made. */
async function parkedBoot(recorder: Recorder, more: Record<string, unknown> = {}): Promise<Started> {
  failFinally(recorder.host, 'createSwapDisk');
  const started = await recorder.create({ onFailure: 'hold', ...more });
  await untilPhase(started, 'NeedsOperator');
  return started;
}

export async function heldAndRetried(recorder: Recorder): Promise<WorkflowHandle> {
  const { handle } = await parkedBoot(recorder);
  recorder.host.inject = undefined;
  await updateWorkflow(handle, 'retry', {});
  return handle;
}

/** The boot is undone, and built again with a larger root disk. */
export async function heldAndChanged(recorder: Recorder): Promise<WorkflowHandle> {
  const { handle } = await parkedBoot(recorder);
  recorder.host.inject = undefined;
  const { spec, flavor } = await queryWorkflow(handle, 'request');
  const { name, ...numbers } = { ...flavor, rootGb: 2 };
  const change = { spec: { ...spec, flavor: numbers }, flavor: { name, ...numbers }, specDigest: 'f'.repeat(64) };
  await updateWorkflow(handle, 'retry', { change });
  return handle;
}

/** All was done but the last; the guest is started once more, since it may be off by now. */
export async function heldAtTheEnd(recorder: Recorder): Promise<WorkflowHandle> {
  failFinally(recorder.host, 'markReady');
  // What the recorder has for a kernel is none.
  const { kernel: _, ...spec } = recorder.spec;
  const started = await recorder.createAs({ ...spec, onFailure: 'hold', boot: 'running' });
  await untilPhase(started, 'NeedsOperator');
  recorder.host.inject = undefined;
  await updateWorkflow(started.handle, 'retry', {});
  return started.handle;
}

export async function heldAndHostGone(recorder: Recorder): Promise<WorkflowHandle> {
  const { handle } = await parkedBoot(recorder);
  await updateWorkflow(handle, 'abandon', { hostGone: true });
  return handle;
}

export async function heldAndAbandoned(recorder: Recorder): Promise<WorkflowHandle> {
  const { handle } = await parkedBoot(recorder);
  await updateWorkflow(handle, 'abandon', {});
  return handle;
}

export async function heldTooLong(recorder: Recorder): Promise<WorkflowHandle> {
  return (await parkedBoot(recorder, { holdFor: 60 })).handle;
}

export async function heldAndCancelled(recorder: Recorder): Promise<WorkflowHandle> {
  const { handle } = await parkedBoot(recorder);
  await handle.cancel();
  return handle;
}

/** An operator resets a parked run to where the swap was not asked for yet. */
export async function resetRun(recorder: Recorder): Promise<WorkflowHandle> {
  const { handle } = await parkedBoot(recorder);
  recorder.host.inject = undefined;
  const { client } = recorder.host;
  const { runId } = await handle.describe();
  const { events } = await handle.fetchHistory();
  const task = (events ?? []).find(
    ({ activityTaskScheduledEventAttributes: step }) => step?.activityType?.name === 'createSwapDisk',
  )?.activityTaskScheduledEventAttributes?.workflowTaskCompletedEventId;
  await client.workflowService.resetWorkflowExecution({
    namespace: client.options.namespace,
    workflowExecution: { workflowId: handle.workflowId, runId },
    reason: 'recorded',
    requestId: crypto.randomUUID(),
    workflowTaskFinishEventId: task ?? null,
  });
  return handle;
}
