import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CancelledFailure, WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { queryWorkflow, startWorkflow, updateWorkflow } from '../../client/temporal/workflow-calls.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { type InstanceResult, instanceWorkflowId, type OperationMemo } from '../../domain/operations.ts';
import { readInstanceRecord } from '../../hypervisor/instance/instance-record.ts';
import { startDomain } from '../../hypervisor/libvirt/libvirt.ts';
import { assertCleanSlate, domainIds } from '../fixtures/clean-slate.ts';
import { makeQcow2Image, type TestImage } from '../fixtures/images.ts';
import { sharedServerEnvironment, startTemporalServer, type TestTemporalServer } from '../fixtures/temporal-server.ts';
import { startTestHost, type TestHost } from '../fixtures/test-host.ts';

/** Two hosts on one Temporal server. Faults hold the steps of the first, as a host that stands still would. */
let server: TestTemporalServer;
let first: TestHost;
let second: TestHost;
let image: TestImage;
before(async () => {
  server = await startTemporalServer();
  Object.assign(process.env, sharedServerEnvironment(server));
  first = await startTestHost();
  second = await startTestHost({ imageRoots: [first.folder] });
  image = await makeQcow2Image(first.folder);
});
after(async () => {
  await first.stop();
  await second.stop();
  await server.stop();
});

const flavor = { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 16 };
const spec = (boot: string) => ({
  flavor,
  image: { file: image.path, digest: image.digest, format: 'qcow2' },
  boot,
});

/** Lets a step of the first host begin, and its work only when it is released. */
function holding(step: string) {
  const reached = Promise.withResolvers<void>();
  const free = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<unknown>();
  first.inject = async (name, run) => {
    if (name !== step) return await run();
    reached.resolve();
    await free.promise;
    try {
      const made = await run();
      ended.resolve(null);
      return made;
    } catch (error) {
      ended.resolve(error);
      throw error;
    }
  };
  return { reached: reached.promise, release: () => free.resolve(), ended: ended.promise };
}

async function workflowEnd(workflowId: string): Promise<void> {
  await first.client.workflow.getHandle(workflowId).result();
}

async function removeFrom(host: TestHost, id: string): Promise<void> {
  first.inject = undefined;
  await host.remove(id);
}

async function startDeletion(host: TestHost, instanceId: string): Promise<WorkflowHandle> {
  const order = { operationId: crypto.randomUUID(), host: host.name, instanceId };
  return await startWorkflow(host.client, 'deleteInstance', order, { workflowId: instanceWorkflowId(instanceId) });
}

const giveUp = (handle: WorkflowHandle) => updateWorkflow(handle, 'abandon', { hostGone: true });

for (const step of ['defineDomain', 'startDomain', 'markReady'] as const) {
  test(`${step} of an abandoned operation does nothing, and the host removes the orphans`, async () => {
    const late = holding(step);
    const { spec: made, operationId } = await first.create(spec('running'));
    const handle = first.client.workflow.getHandle(instanceWorkflowId(made.id));
    await late.reached;
    await giveUp(handle);
    await assert.rejects(handle.result(), WorkflowFailedError);
    await workflowEnd(`cleanup/${first.name}/${made.id}/${operationId}`);
    late.release();
    assert.match(String(await late.ended), /came too late|does not carry the claim/);
    await sleep(100);
    assert.ok(!(await domainIds()).includes(made.id));
    await assertCleanSlate(first.paths, [made.id]);
  });
}

test('a step that defines or starts a domain, and comes in the middle of the undo, does nothing', async () => {
  for (const step of ['defineDomain', 'startDomain'] as const) {
    let late: Promise<unknown> = Promise.resolve();
    first.inject = async (name, run) => {
      if (name === 'markReady') throw new EverbootFailure('ProgramFailed', 'injected');
      if (name === 'releaseInstance') {
        late = repeat().then(
          () => null,
          (error: unknown) => error,
        );
        await late;
      }
      if (name === step) repeat = run;
      return await run();
    };
    let repeat: () => Promise<unknown> = async () => undefined;
    const { spec: made } = await first.create(spec('running'));
    await assert.rejects(first.client.workflow.getHandle(instanceWorkflowId(made.id)).result(), WorkflowFailedError);
    assert.match(String(await late), /libvirt\.xml|is not started: there is none/);
    assert.ok(!(await domainIds()).includes(made.id));
    await assertCleanSlate(first.paths, [made.id]);
  }
});

test('a guest that was started in the moment in which its operation was abandoned is removed at once', async () => {
  const reached = Promise.withResolvers<void>();
  first.inject = async (name, run) => {
    const made = await run();
    if (name === 'defineDomain') reached.resolve();
    return made;
  };
  const { spec: made, operationId } = await first.create(spec('running'));
  const handle = first.client.workflow.getHandle(instanceWorkflowId(made.id));
  await reached.promise;
  await giveUp(handle);
  await assert.rejects(handle.result(), WorkflowFailedError);
  await workflowEnd(`cleanup/${first.name}/${made.id}/${operationId}`);
  const deadline = Date.now() + 30_000;
  while ((await domainIds()).includes(made.id) && Date.now() < deadline) await sleep(50);
  assert.ok(!(await domainIds()).includes(made.id));
  await assertCleanSlate(first.paths, [made.id]);
});

test('a guest that an earlier attempt had started is removed by the next one, which comes too late', async () => {
  const reached = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  const isLeft = Promise.withResolvers<boolean>();
  first.inject = async (step, run) => {
    // Else the deferred cleanup takes the domain first, and there is none left to come too late for.
    if (step === 'removeOrphans') await isLeft.promise;
    if (step !== 'startDomain') return await run();
    const { spec: made, operationId } = await started;
    // As a worker leaves it that is killed between its start and its second question.
    await startDomain(first.configuration.libvirt.connectionUri, { instanceId: made.id, operationId });
    reached.resolve();
    await over.promise;
    const look = async (): Promise<boolean> => {
      await assert.rejects(run(), /came too late/);
      return (await domainIds()).includes(made.id);
    };
    await look().then(isLeft.resolve, isLeft.reject);
  };
  const started = first.create(spec('running'));
  const { spec: made, operationId } = await started;
  await reached.promise;
  const handle = first.client.workflow.getHandle(instanceWorkflowId(made.id));
  await giveUp(handle);
  await assert.rejects(handle.result(), WorkflowFailedError);
  over.resolve();
  assert.equal(await isLeft.promise, false);
  await workflowEnd(`cleanup/${first.name}/${made.id}/${operationId}`);
  await assertCleanSlate(first.paths, [made.id]);
});

test('a build moves to the next host when the first is away for too long, and the first removes orphans', async () => {
  const late = silentFrom('createSwapDisk');
  const hosts = [first.name, second.name];
  const { spec: made, operationId } = await first.create(spec('defined'), { hosts, hostUnreachableAfterMs: 4000 });
  const handle = first.client.workflow.getHandle(instanceWorkflowId(made.id));
  await late.reached;
  const result = (await handle.result()) as InstanceResult;
  assert.equal(result.host, second.name);
  const { memo, typedSearchAttributes } = await handle.describe();
  const { generation, host, operationId: now } = memo as unknown as OperationMemo;
  assert.deepEqual({ generation, host }, { generation: 2, host: second.name });
  assert.notEqual(now, operationId);
  assert.ok(typedSearchAttributes.getAll().some(({ value }) => value === second.name));
  const progress = await queryWorkflow(handle, 'progress');
  assert.deepEqual([progress.host, progress.phase, progress.hostAwaySince], [second.name, 'Ready', undefined]);
  late.release();
  first.inject = undefined;
  await workflowEnd(`cleanup/${first.name}/${made.id}/${operationId}`);
  await assertCleanSlate(first.paths, []);
  assert.ok((await domainIds()).includes(made.id), 'the second host has it');
  await removeFrom(second, made.id);
  await assertCleanSlate(second.paths, [made.id]);
});

/** Nothing of the first host answers any more, from a step on, until it is released: no other step, and no ping. */
function silentFrom(step: string) {
  const late = holding(step);
  const inject = first.inject;
  let isSilent = false;
  first.inject = async (name, run) => {
    isSilent ||= name === step;
    if (isSilent && name !== step) await late.ended;
    return name === step ? await inject?.(name, run) : await run();
  };
  return late;
}

async function untilUnreachable(handle: WorkflowHandle): Promise<void> {
  const deadline = Date.now() + 120_000;
  for (;;) {
    const { phase } = await queryWorkflow(handle, 'progress');
    if (phase === 'HostUnreachable') return;
    assert.ok(Date.now() < deadline, phase);
    await sleep(100);
  }
}

test('a boot that is being undone when its host goes away is undone there, and nowhere else', async () => {
  const late = silentFrom('createSwapDisk');
  const hosts = [first.name, second.name];
  const { spec: made } = await first.create(spec('defined'), { hosts, hostUnreachableAfterMs: 6000 });
  const handle = first.client.workflow.getHandle(instanceWorkflowId(made.id));
  await late.reached;
  await handle.cancel();
  await untilUnreachable(handle);
  assert.equal((await queryWorkflow(handle, 'progress')).host, first.name);
  late.release();
  first.inject = undefined;
  await assert.rejects(
    handle.result(),
    (error) => error instanceof WorkflowFailedError && error.cause instanceof CancelledFailure,
  );
  await assertCleanSlate(first.paths, [made.id]);
  await assertCleanSlate(second.paths, [made.id]);
});

test('a boot whose guest may run already waits for its host, however long', async () => {
  const late = silentFrom('markReady');
  const hosts = [first.name, second.name];
  const { spec: made } = await first.create(spec('running'), { hosts, hostUnreachableAfterMs: 4000 });
  const handle = first.client.workflow.getHandle(instanceWorkflowId(made.id));
  await late.reached;
  await untilUnreachable(handle);
  await sleep(500);
  late.release();
  first.inject = undefined;
  const result = (await handle.result()) as InstanceResult;
  assert.equal(result.host, first.name);
  await removeFrom(first, made.id);
  await assertCleanSlate(first.paths, [made.id]);
});

test('the host that is abandoned is the one that was meant', async () => {
  const late = holding('createSwapDisk');
  const { spec: made } = await first.create(spec('disks'));
  const handle = first.client.workflow.getHandle(instanceWorkflowId(made.id));
  await late.reached;
  await assert.rejects(updateWorkflow(handle, 'abandon', { hostGone: true, host: second.name }));
  late.release();
  assert.equal(((await handle.result()) as InstanceResult).host, first.name);
  await removeFrom(first, made.id);
});

test('a deletion on a host that is gone can be abandoned, and the host deletes when it is back', async () => {
  first.inject = undefined;
  const { spec: made } = await first.create(spec('defined'));
  await first.client.workflow.getHandle(instanceWorkflowId(made.id)).result();
  const late = holding('readInstance');
  const handle = await startDeletion(first, made.id);
  await late.reached;
  await giveUp(handle);
  assert.deepEqual(await handle.result(), {
    instanceId: made.id,
    host: first.name,
    existed: true,
    cleanupPendingOn: first.name,
  });
  await workflowEnd(`cleanup/${first.name}/${made.id}/deleted`);
  late.release();
  await assertCleanSlate(first.paths, [made.id]);
});

test('an instance that was made again, and is ready, outlives the deferred cleanup of its deletion', async () => {
  first.inject = undefined;
  const { spec: made } = await first.create(spec('defined'));
  await first.client.workflow.getHandle(instanceWorkflowId(made.id)).result();
  const [deleted, free] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  first.inject = async (name, run) => {
    if (name === 'removeOrphans') await free.promise;
    const done = await run();
    // Its end is never heard of.
    if (name === 'deleteFiles') {
      deleted.resolve();
      await free.promise;
    }
    return done;
  };
  const handle = await startDeletion(first, made.id);
  await deleted.promise;
  await giveUp(handle);
  await handle.result();
  const { operationId } = await first.create({ ...spec('defined'), id: made.id });
  await first.client.workflow.getHandle(instanceWorkflowId(made.id)).result();
  free.resolve();
  await workflowEnd(`cleanup/${first.name}/${made.id}/deleted`);
  assert.ok((await domainIds()).includes(made.id));
  const record = await readInstanceRecord(first.paths, made.id);
  assert.deepEqual([record?.state, record?.claim.operationId], ['ready', operationId]);
  await removeFrom(first, made.id);
  await assertCleanSlate(first.paths, [made.id]);
});
