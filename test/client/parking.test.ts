import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { connectClient, type EverbootClient, EverbootFailure, failureDocument } from '../../client/index.ts';
import { queryWorkflow, startWorkflow } from '../../client/temporal/workflow-calls.ts';
import { type CreateInstanceInput, cleanupWorkflowId, type OperationMemo } from '../../domain/operations.ts';
import { addKeyPair } from '../../hypervisor/secrets/key-pair.ts';
import { hold, holdAt, type PretendCloud, type PretendHost, smallSpec, startPretendCloud } from './pretend-host.ts';

let cloud: PretendCloud;
let host: PretendHost;
let temporal: Client;
let client: EverbootClient;
let unanswered: ReturnType<typeof deletionWithoutHost>;
before(async () => {
  cloud = await startPretendCloud();
  host = await cloud.addHost('host-a');
  temporal = new Client({ connection: await Connection.connect({ address: cloud.server.address }) });
  const publicKeyFile = `${cloud.folder}/public.json`;
  await addKeyPair(publicKeyFile, `${cloud.folder}/private.json`);
  client = await connectClient(
    { address: cloud.server.address, namespace: 'default' },
    { publicKeyFile, hostUnreachableAfterMs: 5000 },
  );
  unanswered = deletionWithoutHost();
});
after(async () => {
  await client.close();
  await temporal.connection.close();
  await cloud.stop();
});
beforeEach(() => {
  host.onStep = async () => undefined;
});

/**
 * A deletion on a host that does not take it up. That takes ten seconds of the bundle's, in which the other tests are
 * done.
 */
async function deletionWithoutHost(): Promise<{ instanceId: string; deletion: Promise<unknown> }> {
  const { instanceId } = await client.createInstance(smallSpec({ host: 'host-lost' }));
  await temporal.workflow.getHandle(`instance/${instanceId}`).terminate('a test wants a deletion without its host');
  const deletion = client.delete(instanceId);
  deletion.catch(() => undefined);
  return { instanceId, deletion };
}

function failsWith(code: string, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof EverbootFailure, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(`${error.message} ${error.problems.join(' ')}`, message);
    return true;
  };
}

/** Fails a step permanently until the fault is taken back. */
function failing(step = 'defineDomain'): { on: boolean } {
  const fault = { on: true };
  host.onStep = async (name) => {
    if (name === step && fault.on) throw new EverbootFailure('DomainRejected', 'libvirt said no');
  };
  return fault;
}

/** Creates an instance whose creation waits for an operator. */
async function park(more: Record<string, unknown> = {}) {
  const spec = smallSpec({ onFailure: 'hold', ...more });
  const started = await client.createInstance(spec);
  await assert.rejects(client.wait(started), failsWith('DomainRejected', /said no/));
  return { ...started, spec, handle: temporal.workflow.getHandle(`instance/${started.instanceId}`) };
}

test('a creation that parks ends the waiting with its failure, for whoever joins it, too', async () => {
  failing();
  const { instanceId, spec, handle } = await park();
  for (const awaited of [instanceId, await client.createInstance(spec)]) {
    await assert.rejects(client.wait(awaited), (error: EverbootFailure) => {
      const { remedy, ...document } = failureDocument(error);
      assert.deepEqual(document, {
        ...{ code: 'DomainRejected', message: 'libvirt said no', retryable: false },
        ...{ instanceId, step: 'defineDomain', parked: true },
      });
      assert.match(remedy, /libvirt/);
      return true;
    });
  }
  const { memo } = await handle.describe();
  assert.equal((memo as unknown as OperationMemo).onFailure, 'hold');
  const { phase, parked } = await client.show(instanceId);
  assert.deepEqual([phase, parked?.code, parked?.step], ['NeedsOperator', 'DomainRejected', 'defineDomain']);
  assert.deepEqual((await client.progress(instanceId)).parked, parked);
  await client.cancel(instanceId);
  assert.equal((await client.show(instanceId)).parked, undefined);
  assert.equal(host.records.has(instanceId), false);
});

test('a creation that may not park does not mention it', async () => {
  const started = await client.createInstance(smallSpec());
  assert.equal(started.onFailure, 'undo');
  const { memo } = await temporal.workflow.getHandle(`instance/${started.instanceId}`).describe();
  assert.equal((memo as unknown as OperationMemo).onFailure, undefined);
  await client.wait(started);
});

test('a retry continues and is waited for; what still fails parks again', async () => {
  const fault = failing();
  const { instanceId } = await park();
  await assert.rejects(client.wait(await client.retry(instanceId)), failsWith('DomainRejected', /said no/));
  fault.on = false;
  const made = await client.wait(await client.retry(instanceId));
  assert.deepEqual([made.instanceId, made.state], [instanceId, 'defined']);
  await assert.rejects(client.retry(instanceId), failsWith('OperationEnded', /create, has ended as Ready/));
  await assert.rejects(client.abandon(instanceId), failsWith('OperationEnded', /Ready/));
  await client.delete(instanceId);
  await assert.rejects(client.retry(instanceId), failsWith('OperationEnded', /delete, has ended as Deleted/));
});

test('a retry changes fields and single values; secrets that it leaves alone stay sealed as they were', async () => {
  const fault = failing();
  const { instanceId, handle, spec } = await park({
    adminPassword: 'planted-one',
    userData: 'planted-two',
    flavor: 'm1.tiny',
    volumes: [{ nbd: { host: 'storage-1', port: 10_809 } }],
    metadata: { role: 'web', team: 'a' },
  });
  const before = await queryWorkflow(handle, 'request');
  fault.on = false;
  const started = await client.retry(instanceId, {
    fields: { adminPassword: 'planted-three', sshKeys: [] },
    values: { 'flavor.rootGb': 3, 'metadata.role': 7, 'volumes.0.nbd.port': 10_810 },
  });
  await client.wait(started);
  const after = await queryWorkflow(handle, 'request');
  assert.deepEqual(after.flavor, { ...before.flavor, name: 'inline', rootGb: 3 });
  assert.deepEqual(after.spec.metadata, { role: '7', team: 'a' });
  assert.deepEqual(after.spec.volumes, [{ source: { nbd: { host: 'storage-1', port: 10_810, export: '' } } }]);
  assert.deepEqual(after.spec.secrets.userData, before.spec.secrets.userData);
  assert.notDeepEqual(after.spec.secrets.adminPassword, before.spec.secrets.adminPassword);
  const history = JSON.stringify(await handle.fetchHistory()).replace(/"data":"([^"]*)"/g, (_, data) =>
    Buffer.from(data, 'base64').toString(),
  );
  assert.ok(history.includes('"sealed":"') && !history.includes('planted'));
  // The changed spec, written again, is the same request.
  const { memoryMb, vcpus, ephemeralGb, swapMb } = before.flavor;
  const changed = {
    ...{ ...spec, sshKeys: [], metadata: { role: '7', team: 'a' } },
    volumes: [{ nbd: { host: 'storage-1', port: 10_810 } }],
    flavor: { vcpus, memoryMb, rootGb: 3, ephemeralGb, swapMb },
  };
  assert.equal((await client.wait(await client.createInstance(changed))).instanceId, instanceId);
  await client.delete(instanceId);
});

test('a creation that may run on its host alone says so for as long as it lasts, built again or not', async () => {
  const spec = smallSpec({ onFailure: 'hold' });
  const { reached } = holdAt(host, 'planInstance');
  const { instanceId } = await client.createInstance(spec);
  await reached;
  const handle = temporal.workflow.getHandle(`instance/${instanceId}`);
  await handle.terminate('a test');
  const fault = failing();
  const again = await client.createInstance({ ...spec, hosts: ['host-z', 'host-a'] });
  assert.equal(again.host, 'host-a');
  await assert.rejects(client.wait(again), failsWith('DomainRejected', /said no/));
  fault.on = false;
  await client.wait(await client.retry(instanceId, { values: { 'flavor.memoryMb': 256 } }));
  const { pinned, generation, host: on } = (await handle.describe()).memo as unknown as OperationMemo;
  assert.deepEqual([pinned, generation, on], [true, 2, 'host-a']);
  await client.delete(instanceId);
});

test('a change that makes no spec, or another instance, is refused, and the boot continues waiting', async () => {
  failing();
  const { instanceId } = await park();
  const wrong: readonly [Parameters<EverbootClient['retry']>[1], RegExp][] = [
    [{ fields: { id: randomUUID() } }, /id: a retry cannot change it/],
    [{ fields: { name: 'web-2', hosts: ['host-b'] } }, /name: a retry.*hosts: a retry/],
    [{ values: { host: 'host-b' } }, /host: a retry cannot change it/],
    [{ fields: { colour: 'red' } }, /colour: unknown/],
    [{ fields: 'flavor' }, /no map of fields/],
    [{ fields: { flavor: 'm1.huge' } }, /no flavor "m1.huge"/],
    [{ values: { 'flavor.rootGb': 'x' } }, /flavor.rootGb: "x", expected a whole number/],
    [{ values: { sshKeys: '[]' } }, /sshKeys: /],
    [{ values: { 'name.first': 'x' } }, /name.first: no place in the spec/],
    [{ values: { 'interfaces.0.mac': 'x' } }, /interfaces.0.mac: no place in the spec/],
    [{ values: { '__proto__.polluted': 'x' } }, /__proto__: unknown/],
  ];
  for (const [change, words] of wrong)
    await assert.rejects(client.retry(instanceId, change), failsWith('SpecInvalid', words));
  assert.equal(({} as { polluted?: string }).polluted, undefined);
  assert.equal((await client.show(instanceId)).phase, 'NeedsOperator');
  let isReported = false;
  const onCreationCancelled = () => {
    isReported = true;
  };
  assert.equal((await client.delete(instanceId, { onCreationCancelled })).existed, false);
  assert.ok(isReported);
});

test('what does not wait can be neither retried nor abandoned', async () => {
  const { reached, release } = holdAt(host, 'reserveInstance');
  const started = await client.createInstance(smallSpec({ onFailure: 'hold' }));
  await reached;
  await assert.rejects(client.retry(started.instanceId), failsWith('InstanceBusy', /it is Building/));
  await assert.rejects(client.abandon(started.instanceId), failsWith('InstanceBusy', /it is Building/));
  release();
  await client.wait(started);
  await assert.rejects(client.retry(randomUUID()), (error: EverbootFailure) => {
    assert.doesNotMatch(error.remedy, /--host/);
    return failsWith('InstanceNotFound', /does not know/)(error);
  });
  await assert.rejects(client.abandon('web-1'), failsWith('SpecInvalid', /no instance id/));
});

test('the list of parked boots has their reasons; abandoning undoes everything and reports the failure', async () => {
  failing();
  const { instanceId } = await park({ name: 'stuck' });
  const listed = async () => (await client.list({ parked: true })).instances;
  while (!(await listed()).some((one) => one.instanceId === instanceId)) await sleep(100);
  const instances = await listed();
  const { name, phase, parked } = instances.find((one) => one.instanceId === instanceId) ?? assert.fail();
  assert.deepEqual(
    [name, phase, parked?.code, parked?.step],
    ['stuck', 'NeedsOperator', 'DomainRejected', 'defineDomain'],
  );
  assert.deepEqual((await client.list({ parked: true, host: 'host-z' })).instances, []);
  const { error, ...rest } = await client.abandon(instanceId);
  assert.deepEqual(rest, { instanceId, operation: 'create', host: 'host-a', phase: 'Failed' });
  assert.deepEqual([error?.code, error?.step, error?.parked], ['DomainRejected', 'defineDomain', undefined]);
  assert.equal(host.records.has(instanceId), false);
  assert.deepEqual(await listed(), [], 'what was abandoned waits no more, whatever the list still says');
});

test('of several hosts the first is taken, and all are sent; none that polls is reported at once', async () => {
  const hosts = ['host-a', 'host-z'];
  const spec = smallSpec({ hosts });
  const started = await client.createInstance(spec);
  assert.equal(started.host, 'host-a');
  await client.wait(started);
  const handle = temporal.workflow.getHandle(`instance/${started.instanceId}`);
  const input = await firstInput<CreateInstanceInput>(handle);
  assert.deepEqual([input.host, input.hosts, input.hostUnreachableAfterMs], ['host-a', hosts, 5000]);
  await assert.rejects(
    client.createInstance(smallSpec({ id: undefined, hosts: ['host-y', 'host-z'] })),
    failsWith('HostUnreachable', /no worker of host-y, host-z/),
  );
  await assert.rejects(client.createInstance(spec, { host: 'host-a' }), failsWith('SpecInvalid', /two hosts/));
  // The instance is on one of them: the same request goes there, and to no other one.
  const again = await client.createInstance({ ...spec, hosts: ['host-z', 'host-a'] });
  assert.equal(again.host, 'host-a');
  await client.wait(again);
  assert.equal((await firstInput<CreateInstanceInput>(handle)).hosts, undefined);
  await assert.rejects(
    client.createInstance({ ...spec, hosts: ['host-y', 'host-z'] }),
    failsWith('InstanceExists', /exists on host-a, not on host-y, host-z/),
  );
  await client.delete(started.instanceId);
});

async function firstInput<Input>(handle: { fetchHistory(): Promise<{ events?: unknown }> }): Promise<Input> {
  const [first] = (await handle.fetchHistory()).events as {
    workflowExecutionStartedEventAttributes: { input: { payloads: { data: Uint8Array }[] } };
  }[];
  const data = first?.workflowExecutionStartedEventAttributes.input.payloads[0]?.data ?? new Uint8Array();
  return JSON.parse(Buffer.from(data).toString()) as Input;
}

test('a host that is gone is abandoned: the creation and the deletion end, each with a deferred cleanup', async () => {
  const gone = await cloud.addHost('host-b');
  const [made, stuck] = [smallSpec({ host: 'host-b' }), smallSpec({ host: 'host-b' })];
  await client.wait(await client.createInstance(made));
  const reached = Promise.withResolvers<void>();
  gone.onStep = async (step) => {
    if (step !== 'defineDomain') return;
    reached.resolve();
    await hold();
  };
  const started = await client.createInstance(stuck);
  await reached.promise;
  await gone.stop();
  const abandoned = await client.abandon(started.instanceId, { hostGone: true });
  const { error, ...rest } = abandoned;
  const { events } = await temporal.workflow.getHandle(`instance/${started.instanceId}`).fetchHistory();
  const told = events?.flatMap((event) => event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest ?? []);
  const request = Buffer.from(told?.[0]?.input?.args?.payloads?.[0]?.data ?? []).toString();
  assert.deepEqual(JSON.parse(request), { hostGone: true, host: 'host-b' });
  assert.deepEqual(rest, {
    instanceId: started.instanceId,
    operation: 'create',
    host: 'host-b',
    phase: 'Failed',
    cleanupPendingOn: 'host-b',
  });
  assert.equal(error?.code, 'HostUnreachable');
  const id = String(made.id);
  const deleting = client.delete(id);
  while ((await client.show(id)).operation !== 'delete') await sleep(50);
  const { phase, cleanupPendingOn } = await client.abandon(id, { hostGone: true });
  assert.deepEqual([phase, cleanupPendingOn], ['Deleted', 'host-b']);
  assert.equal((await deleting).cleanupPendingOn, 'host-b');
  const handle = temporal.workflow.getHandle(`instance/${id}`);
  const { runId } = await handle.describe();
  assert.equal((await client.delete(id)).cleanupPendingOn, 'host-b', 'nobody is asked for what is deleted already');
  assert.equal((await handle.describe()).runId, runId);
  const there = await client.delete(id, { host: 'host-a' });
  assert.deepEqual([there.existed, there.cleanupPendingOn], [false, undefined], 'another host is asked all the same');
});

test('an operation that is on another host than the one that was seen is not abandoned', async () => {
  const instanceId = randomUUID();
  const order = { operationId: randomUUID(), host: 'host-d', instanceId };
  const handle = await startWorkflow(temporal, 'deleteInstance', order, {
    workflowId: `instance/${instanceId}`,
    memo: { operation: 'delete', host: 'host-c' },
  });
  await assert.rejects(
    client.abandon(instanceId, { hostGone: true }),
    failsWith('InstanceBusy', /on host-d by now, and not on host-c/),
  );
  await handle.terminate('a test is done with it');
});

test('a creation that left nothing gets no deferred cleanup, whatever earlier one there is', async () => {
  const { reached } = holdAt(host, 'planInstance');
  const { instanceId } = await client.createInstance(smallSpec({ host: 'host-a' }));
  await reached;
  const { operationId } = (await temporal.workflow.getHandle(`instance/${instanceId}`).describe())
    .memo as unknown as OperationMemo;
  const cleanup = { host: 'host-a', instanceId, operationId };
  const workflowId = cleanupWorkflowId(cleanup);
  const pendingCleanup = await startWorkflow(temporal, 'cleanUpHost', { ...cleanup, name: 'web-1' }, { workflowId });
  await pendingCleanup.terminate('a test: it is closed');
  const { phase, cleanupPendingOn } = await client.abandon(instanceId, { hostGone: true });
  assert.deepEqual([phase, cleanupPendingOn], ['Failed', undefined]);
});

test('a deletion that was stopped, or failed otherwise, is not started again to be abandoned', async () => {
  const stops: readonly ((id: string) => Promise<void>)[] = [
    async (id) => void (await client.cancel(id)),
    async (id) => void (await temporal.workflow.getHandle(`instance/${id}`).terminate('a test')),
  ];
  for (const stop of stops) {
    const spec = smallSpec({ host: 'host-a' });
    await client.wait(await client.createInstance(spec));
    const id = String(spec.id);
    const { reached } = holdAt(host, 'readInstance');
    const deletion = assert.rejects(client.delete(id));
    await reached;
    await stop(id);
    await deletion;
    await staysUndeleted(id);
  }
  host.onStep = async (step) => {
    if (step === 'readInstance') throw new EverbootFailure('NotManaged', 'no claim of everboot’s');
  };
  const spec = smallSpec({ host: 'host-a' });
  await client.wait(await client.createInstance(spec));
  await assert.rejects(client.delete(String(spec.id)), failsWith('NotManaged', /no claim/));
  await staysUndeleted(String(spec.id));
});

async function staysUndeleted(id: string): Promise<void> {
  host.onStep = async () => undefined;
  const { runId } = await temporal.workflow.getHandle(`instance/${id}`).describe();
  await assert.rejects(client.abandon(id, { hostGone: true }), failsWith('OperationEnded', /delete, has ended/));
  assert.equal((await temporal.workflow.getHandle(`instance/${id}`).describe()).runId, runId);
  assert.ok(host.records.has(id));
}

test('a deletion that found no host to do it can be abandoned afterwards, with that host', async () => {
  const { instanceId, deletion } = await unanswered;
  await assert.rejects(deletion, failsWith('HostUnreachable', /host-lost/));
  const handle = temporal.workflow.getHandle(`instance/${instanceId}`);
  const { runId } = await handle.describe();
  const another = client.abandon(instanceId, { hostGone: true, host: 'host-a' });
  await assert.rejects(another, failsWith('OperationEnded', /delete, has ended as Failed/));
  assert.equal((await handle.describe()).runId, runId);
  const closed = await client.abandon(instanceId, { hostGone: true, host: 'host-lost' });
  assert.deepEqual([closed.operation, closed.phase, closed.cleanupPendingOn], ['delete', 'Deleted', 'host-lost']);
  await assert.rejects(client.abandon(instanceId, { hostGone: true }), failsWith('OperationEnded', /ended as Deleted/));
});
