import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ApplicationFailure,
  WorkflowFailedError,
  type WorkflowHandle,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { queryWorkflow, updateWorkflow } from '../../client/temporal/workflow-calls.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HostActivities } from '../../domain/host-activities.ts';
import {
  type AbandonRequest,
  cleanupWorkflowId,
  type InstanceResult,
  instanceWorkflowId,
  type OperationMemo,
  type OperationProgress,
  type Phase,
  type RetryRequest,
} from '../../domain/operations.ts';
import { listFolder } from '../../hypervisor/files/small-file.ts';
import { domainState } from '../../hypervisor/libvirt/libvirt.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { makeQcow2Image, type TestImage } from '../fixtures/images.ts';
import { startTestHost, type TestHost } from '../fixtures/test-host.ts';

let host: TestHost;
let image: TestImage;
before(async () => {
  host = await startTestHost();
  image = await makeQcow2Image(host.folder);
});
after(async () => {
  await host.stop();
});

function spec(more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 1, swapMb: 16 },
    image: { file: image.path, digest: image.digest, format: 'qcow2' },
    boot: 'defined',
    onFailure: 'hold',
    ...more,
  };
}

/** Fails a step permanently as long as it is asked to. */
function failing(step: keyof HostActivities): { on: boolean } {
  const fault = { on: true };
  host.ran.length = 0;
  host.inject = async (name, run) => {
    if (name === step && fault.on) throw new EverbootFailure('InsufficientSpace', 'the disk of the test is full');
    return await run();
  };
  return fault;
}

async function createParked(more: Record<string, unknown> = {}): Promise<{ id: string; handle: WorkflowHandle }> {
  const { spec: made } = await host.create(spec(more));
  const handle = host.client.workflow.getHandle(instanceWorkflowId(made.id));
  await untilPhase(handle, 'NeedsOperator');
  return { id: made.id, handle };
}

async function untilPhase(handle: WorkflowHandle, phase: Phase): Promise<OperationProgress> {
  for (;;) {
    const progress = await queryWorkflow(handle, 'progress');
    if (progress.phase === phase) return progress;
    await sleep(50);
  }
}

async function phaseAttributeOf(handle: WorkflowHandle): Promise<unknown[]> {
  const { typedSearchAttributes } = await handle.describe();
  return typedSearchAttributes.getAll().flatMap(({ key, value }) => (key.name === 'EverbootPhase' ? [value] : []));
}

const retry = (handle: WorkflowHandle, request: RetryRequest = {}) => updateWorkflow(handle, 'retry', request);
const abandon = (handle: WorkflowHandle, request: AbandonRequest = {}) => updateWorkflow(handle, 'abandon', request);

async function remove(id: string): Promise<void> {
  host.inject = undefined;
  await host.remove(id);
}

test('a boot that is held keeps what it has made, says why it waits, and holds no reserved space', async () => {
  failing('createEphemeralDisk');
  const { id, handle } = await createParked();
  const { parked, steps } = await queryWorkflow(handle, 'progress');
  assert.equal(parked?.code, 'InsufficientSpace');
  assert.equal(parked.step, 'createEphemeralDisk');
  assert.match(parked.remedy, /Free space/);
  assert.ok(parked.since > Date.now() - 60_000 && parked.until === undefined);
  assert.deepEqual(await listFolder(host.paths.ledger), []);
  assert.ok((await listFolder(host.paths.claims)).length > 0);
  assert.deepEqual(
    steps.filter(({ state }) => state === 'running'),
    [],
  );
  // A query may be answered a moment before the server has taken what the workflow said with it.
  while (!(await phaseAttributeOf(handle)).includes('NeedsOperator')) await sleep(20);
  await abandon(handle);
  await assert.rejects(handle.result(), failedWith('InsufficientSpace'));
  await assertCleanSlate(host.paths, [id]);
});

test('a retry that fails again is parked again; one continues at the step that failed, and carries out none that was done', async () => {
  const fault = failing('createEphemeralDisk');
  const { id, handle } = await createParked();
  const before = host.ran.filter((step) => step !== 'createEphemeralDisk');
  host.ran.length = 0;
  const first = (await queryWorkflow(handle, 'progress')).parked;
  await retry(handle);
  for (;;) {
    const { parked } = await queryWorkflow(handle, 'progress');
    if (parked !== undefined && parked.since !== first?.since) break;
    await sleep(20);
  }
  fault.on = false;
  await retry(handle);
  const result = (await handle.result()) as InstanceResult;
  assert.equal(result.state, 'defined');
  assert.ok(result.disks.some(({ name }) => name === 'disk.local'));
  const { steps } = await queryWorkflow(handle, 'progress');
  const notes = steps.filter(({ step }) => step === 'note').map(({ summary }) => summary);
  assert.match(notes.join(), /waits for an operator: the disk of the test is full.*resumed by an operator/);
  assert.ok(before.includes('reserveInstance') && host.ran.includes('createEphemeralDisk'));
  for (const step of ['planInstance', 'reserveInstance', 'downloadImage', 'convertImage']) {
    assert.ok(!host.ran.includes(step), `${step} ran again`);
  }
  await remove(id);
  await assertCleanSlate(host.paths, [id]);
});

test('a guest that went down while its boot was parked runs when the boot continues', async () => {
  const fault = failing('markReady');
  const { id, handle } = await createParked({ boot: 'running' });
  const { parked } = await queryWorkflow(handle, 'progress');
  assert.deepEqual(parked?.keeps?.slice(-2), ['defineDomain', 'startDomain']);
  await runProgram('virsh', ['destroy', id], { timeoutMs: 10_000 });
  fault.on = false;
  await retry(handle);
  assert.equal(((await handle.result()) as InstanceResult).state, 'running');
  assert.equal(await domainState(host.configuration.libvirt.connectionUri, id), 'running');
  await remove(id);
  await assertCleanSlate(host.paths, [id]);
});

/** Parks a boot at a step, and gives its host up; it fails with what it was parked for. */
async function givenUpAt(step: keyof HostActivities): Promise<{ id: string; handle: WorkflowHandle }> {
  failing(step);
  const parked = await createParked();
  host.ran.length = 0;
  await abandon(parked.handle, { hostGone: true });
  await assert.rejects(parked.handle.result(), failedWith('InsufficientSpace'));
  return parked;
}

test('a parked boot whose host is gone asks nothing of it, and fails with what it was parked for', async () => {
  const { id, handle } = await givenUpAt('createSwapDisk');
  assert.equal((await queryWorkflow(handle, 'progress')).phase, 'Failed');
  const { operationId } = (await handle.describe()).memo as unknown as OperationMemo;
  // The host of this test is there, so that its deferred cleanup is heard at once.
  await host.client.workflow.getHandle(cleanupWorkflowId({ host: host.name, instanceId: id, operationId })).result();
  assert.deepEqual(host.ran, ['removeOrphans']);
  await assertCleanSlate(host.paths, [id]);
});

test('a boot that was parked before it had made anything fails with that, too, when its host is gone', async () => {
  const { id } = await givenUpAt('planInstance');
  assert.deepEqual(host.ran, []);
  await assertCleanSlate(host.paths, [id]);
});

test('a flavor that is too small is parked too; a retry with a larger one builds again under other claims', async () => {
  host.inject = undefined;
  const large = await makeQcow2Image(host.folder, 'large.qcow2', 1100);
  const { id, handle } = await createParked({ image: { file: large.path, digest: large.digest, format: 'qcow2' } });
  const { parked } = await queryWorkflow(handle, 'progress');
  assert.equal(parked?.code, 'FlavorDiskTooSmall');
  const request = await queryWorkflow(handle, 'request');
  const memo = (await handle.describe()).memo as unknown as OperationMemo;
  for (const change of [{ spec: { id } }, { ...request, spec: { ...request.spec, name: 'other' } }]) {
    await assert.rejects(retry(handle, { change } as unknown as RetryRequest), WorkflowUpdateFailedError);
  }
  const { name, ...numbers } = { ...request.flavor, rootGb: 2 };
  const changed = { ...request.spec, flavor: numbers };
  await retry(handle, { change: { spec: changed, flavor: { name, ...numbers }, specDigest: 'f'.repeat(64) } });
  const result = (await handle.result()) as InstanceResult;
  assert.equal(result.disks.find(({ name }) => name === 'disk')?.virtualSizeBytes, 2 * 2 ** 30);
  const now = (await handle.describe()).memo as unknown as OperationMemo;
  assert.notEqual(now.operationId, memo.operationId);
  assert.equal(now.generation, 2);
  assert.equal(now.specDigest, 'f'.repeat(64));
  await remove(id);
  await assertCleanSlate(host.paths, [id]);
});

test('a parked boot that is cancelled is undone', async () => {
  failing('createSwapDisk');
  const { id, handle } = await createParked();
  await handle.cancel();
  await assert.rejects(handle.result(), WorkflowFailedError);
  await assertCleanSlate(host.paths, [id]);
});

test('what is not parked can be neither retried nor abandoned', async () => {
  host.inject = async (name, run) => {
    if (name === 'createSwapDisk') await sleep(1000);
    return await run();
  };
  const { spec: made } = await host.create(spec());
  const handle = host.client.workflow.getHandle(instanceWorkflowId(made.id));
  await assert.rejects(retry(handle), WorkflowUpdateFailedError);
  await assert.rejects(abandon(handle), WorkflowUpdateFailedError);
  await handle.result();
  await remove(made.id);
  await assertCleanSlate(host.paths, [made.id]);
});

function failedWith(code: string) {
  return (error: unknown) =>
    error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure && error.cause.type === code;
}
