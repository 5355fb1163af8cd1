import { setTimeout as sleep } from 'node:timers/promises';
import { cancellationSignal, heartbeat } from '@temporalio/activity';
import type { WorkflowHandle } from '@temporalio/client';
import { startWorkflow } from '../../../client/temporal/workflow-calls.ts';
import { failFinally, inject, passing, type Recorder } from './recorder.ts';

/** A boot whose image is cached already. */
export async function warmBoot(recorder: Recorder): Promise<WorkflowHandle> {
  const first = await recorder.create();
  await first.handle.result();
  return (await recorder.create()).handle;
}

export async function deletion(recorder: Recorder): Promise<WorkflowHandle> {
  const { id, handle } = await recorder.create();
  await handle.result();
  return await recorder.remove(id);
}

export async function inspection(recorder: Recorder): Promise<WorkflowHandle> {
  const { id, handle } = await recorder.create();
  await handle.result();
  const { client, name } = recorder.host;
  return await startWorkflow(
    client,
    'inspectInstance',
    { host: name, instanceId: id },
    { workflowId: `inspect/${id}` },
  );
}

/** Some step fails twice in passing. */
export async function retriedStep(recorder: Recorder): Promise<WorkflowHandle> {
  failTwice(recorder, 'createSwapDisk');
  return (await recorder.create()).handle;
}

export async function failedBoot(recorder: Recorder): Promise<WorkflowHandle> {
  failFinally(recorder.host, 'defineDomain');
  return (await recorder.create()).handle;
}

/** A boot fails, and so does its undo, twice. */
export async function retriedUndo(recorder: Recorder): Promise<WorkflowHandle> {
  failTwice(recorder, 'releaseInstance');
  const undoing = recorder.host.inject;
  failFinally(recorder.host, 'defineDomain');
  const failing = recorder.host.inject;
  recorder.host.inject = (step, run) => (step === 'defineDomain' ? failing : undoing)?.(step, run) ?? run();
  return (await recorder.create()).handle;
}

export async function cancelledBoot(recorder: Recorder): Promise<WorkflowHandle> {
  const started = Promise.withResolvers<void>();
  inject(recorder.host, 'createRootDisk', async () => {
    started.resolve();
    const signal = cancellationSignal();
    while (!signal.aborted) {
      heartbeat();
      await sleep(20);
    }
    throw signal.reason;
  });
  const { handle } = await recorder.create();
  await started.promise;
  await handle.cancel();
  return handle;
}

/** Disks by mappings, and a root disk whose file system grows and is written to. */
export async function injectedBoot(recorder: Recorder): Promise<WorkflowHandle> {
  const flavor = { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 2, swapMb: 16 };
  const mappings = { ephemerals: [{ sizeGb: 1 }, { sizeGb: 1 }], swap: { sizeMb: 16 } };
  const sshKeys = ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0000000000000000000000000000000000000000000 test'];
  const { kernel: _, ...bootable } = recorder.spec;
  return (await recorder.createAs({ ...bootable, flavor, ...mappings, sshKeys, configDrive: false })).handle;
}

export async function containerBoot(recorder: Recorder): Promise<WorkflowHandle> {
  return (await recorder.createAs({ image: recorder.spec.image, configDrive: false, boot: 'disks' })).handle;
}

/** No root disk and no image: the guest boots from a volume that a server has. */
export async function bootFromVolume(recorder: Recorder): Promise<WorkflowHandle> {
  const volumes = [{ nbd: { host: '127.0.0.1', port: 10809, export: 'root' }, boot: true }];
  return (await recorder.createAs({ flavor: recorder.spec.flavor, volumes, boot: 'defined' })).handle;
}

function failTwice({ host }: Recorder, step: 'createSwapDisk' | 'releaseInstance'): void {
  let failures = 0;
  inject(host, step, async (run) => {
    failures += 1;
    if (failures < 3) throw passing();
    return await run();
  });
}
