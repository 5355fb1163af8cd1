import type { WorkflowHandle } from '@temporalio/client';
import { updateWorkflow } from '../../../client/temporal/workflow-calls.ts';
import { cleanupWorkflowId } from '../../../domain/operations.ts';
import { inject, type Recorder, type Started, untilInjected, untilPhase } from './recorder.ts';

/** Short, so that nobody waits long for a recording. */
const hostUnreachableAfterMs = 6000;

/** A boot whose host goes away in the middle, with half of it made. */
async function leftBoot(recorder: Recorder, hosts: readonly string[] = []): Promise<Started> {
  const { second } = recorder;
  await second.come();
  const injected = untilInjected(second, 'createSwapDisk');
  const started = await recorder.create(
    {},
    { hosts: [second.name, ...hosts], hostUnreachableAfterMs, host: second.name },
  );
  await injected;
  await second.leave();
  second.inject = undefined;
  return started;
}

export async function waitedForHost(recorder: Recorder): Promise<WorkflowHandle> {
  const started = await leftBoot(recorder);
  await untilPhase(started, 'WaitingForHost');
  await recorder.second.come();
  return started.handle;
}

export async function unreachableAndBack(recorder: Recorder): Promise<WorkflowHandle> {
  const started = await leftBoot(recorder);
  await untilPhase(started, 'HostUnreachable');
  await recorder.second.come();
  return started.handle;
}

export async function nextHost(recorder: Recorder): Promise<WorkflowHandle> {
  return (await leftBoot(recorder, [recorder.host.name])).handle;
}

/** The first host was never there, so that nothing is left on it. */
export async function absentHost(recorder: Recorder): Promise<WorkflowHandle> {
  const { host, second } = recorder;
  const hosts = [second.name, host.name];
  return (await recorder.create({}, { hosts, hostUnreachableAfterMs, host: second.name })).handle;
}

export async function abandonedBoot(recorder: Recorder): Promise<WorkflowHandle> {
  const { handle } = await leftBoot(recorder);
  await abandon(handle);
  return handle;
}

/** The host went away when the instance's domain was gone and its files were not. */
async function leftDeletion(recorder: Recorder): Promise<Started> {
  const { second } = recorder;
  await second.come();
  const { id, handle: boot } = await recorder.create({}, { host: second.name });
  await boot.result();
  const injected = untilInjected(second, 'deleteFiles');
  const handle = await recorder.remove(id, { host: second.name, hostUnreachableAfterMs });
  await injected;
  await second.leave();
  second.inject = undefined;
  return { id, handle };
}

export async function abandonedDeletion(recorder: Recorder): Promise<WorkflowHandle> {
  const { handle } = await leftDeletion(recorder);
  await abandon(handle);
  return handle;
}

/** The host comes back after all, and removes the orphans of the deletion. */
export async function pendingCleanup(recorder: Recorder): Promise<WorkflowHandle> {
  const { host, second } = recorder;
  const { id, handle } = await leftDeletion(recorder);
  await abandon(handle);
  await handle.result();
  let failed = false;
  inject(second, 'removeOrphans', async (run) => {
    if (failed) return await run();
    failed = true;
    throw new Error('injected');
  });
  await second.come();
  return host.client.workflow.getHandle(cleanupWorkflowId({ host: second.name, instanceId: id, operationId: null }));
}

async function abandon(handle: WorkflowHandle): Promise<void> {
  await updateWorkflow(handle, 'abandon', { hostGone: true });
}
