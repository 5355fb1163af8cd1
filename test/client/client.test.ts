import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import {
  connectClient,
  type EverbootClient,
  EverbootFailure,
  failureDocument,
  prepareInstance,
} from '../../client/index.ts';
import { addKeyPair } from '../../hypervisor/secrets/key-pair.ts';
import { freePort } from '../fixtures/free-port.ts';
import { holdAt, type PretendCloud, type PretendHost, smallSpec, startPretendCloud } from './pretend-host.ts';

let cloud: PretendCloud;
let host: PretendHost;
let temporal: Client;

before(async () => {
  cloud = await startPretendCloud();
  host = await cloud.addHost('host-a');
  temporal = new Client({ connection: await Connection.connect({ address: cloud.server.address }) });
});
after(async () => {
  await temporal.connection.close();
  await cloud.stop();
});
beforeEach(() => {
  host.onStep = async () => undefined;
});

function failsWith(code: string, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof EverbootFailure, String(error));
    assert.equal(error.code, code);
    assert.match(`${error.message} ${error.problems.join(' ')}`, message);
    return true;
  };
}

test('a spec becomes an instance on the only host that polls', async () => {
  const started = await cloud.client.createInstance(smallSpec({ id: undefined }));
  assert.equal(started.host, 'host-a');
  assert.equal(started.joined, false);
  const result = await cloud.client.wait(started);
  assert.equal(result.instanceId, started.instanceId);
  assert.equal(result.state, 'defined');
  assert.deepEqual(await cloud.client.wait(started.instanceId), result);
});

test('what is started can be found in Temporal by host, name, image and phase', async () => {
  const image = {
    url: 'https://images.example/debian.qcow2?key=planted',
    digest: `sha256:${'0'.repeat(64)}`,
    format: 'qcow2',
  };
  const { reached, release } = holdAt(host, 'planInstance');
  const { instanceId } = await cloud.client.createInstance(smallSpec({ image }));
  await reached;
  const description = await temporal.workflow.getHandle(`instance/${instanceId}`).describe();
  release();
  const attributes = description.typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]);
  assert.deepEqual(Object.fromEntries(attributes), {
    EverbootHost: 'host-a',
    EverbootName: 'web-1',
    EverbootImage: 'debian.qcow2',
    EverbootPhase: 'Building',
    ...Object.fromEntries(attributes.filter(([name]) => !String(name).startsWith('Everboot'))),
  });
  assert.match((await description.staticSummary()) ?? '', /^create web-1 on host-a from debian.qcow2, inline$/);
  assert.doesNotMatch(`${await description.staticDetails()}${JSON.stringify(description.memo)}`, /planted/);
  await cloud.client.wait(instanceId);
});

test('the same request joins the one that runs, another one is refused', async () => {
  const { reached, release } = holdAt(host, 'reserveInstance');
  const spec = smallSpec();
  const first = await cloud.client.createInstance(spec);
  await reached;
  const second = await cloud.client.createInstance({ ...spec, host: 'host-a' });
  assert.deepEqual({ ...second, joined: false }, first);
  assert.equal(second.joined, true);
  const other = { ...spec, metadata: { another: 'value' } };
  await assert.rejects(cloud.client.createInstance(other), failsWith('InstanceExists', /another spec/));
  await assert.rejects(cloud.client.createInstance(spec, { host: 'host-b' }), failsWith('InstanceExists', /host-a/));
  release();
  await cloud.client.wait(first);
});

test('ten equal requests at once are one creation', async () => {
  const spec = smallSpec();
  const started = await Promise.all(Array.from({ length: 10 }, () => cloud.client.createInstance(spec)));
  const results = await Promise.all(started.map((one) => cloud.client.wait(one)));
  assert.equal(new Set(results.map((result) => JSON.stringify(result))).size, 1);
});

test('the same request for a ready instance answers with it, another one is refused', async () => {
  const spec = smallSpec();
  const made = await cloud.client.wait(await cloud.client.createInstance(spec));
  assert.deepEqual(await cloud.client.wait(await cloud.client.createInstance(spec)), made);
  const other = { ...spec, name: 'web-2' };
  await assert.rejects(cloud.client.createInstance(other), failsWith('InstanceExists', /exists on host-a/));
  await assert.rejects(cloud.client.createInstance(spec, { host: 'host-b' }), failsWith('InstanceExists', /host-a/));
});

test('a deleted id may be used for anything', async () => {
  const spec = smallSpec();
  await cloud.client.wait(await cloud.client.createInstance(spec));
  const { instanceId } = await cloud.client.createInstance(spec);
  assert.equal((await cloud.client.delete(instanceId)).existed, true);
  await assert.rejects(cloud.client.wait(instanceId), failsWith('InstanceNotFound', /was deleted/));
  const made = await cloud.client.wait(await cloud.client.createInstance({ ...spec, name: 'web-2' }));
  assert.equal(made.name, 'web-2');
});

test('a failed step gives its code, its words and its name', async () => {
  host.onStep = async (step) => {
    if (step !== 'defineDomain') return;
    throw new EverbootFailure('DomainRejected', 'libvirt said no', { problems: ['the machine type'] });
  };
  const { instanceId } = await cloud.client.createInstance(smallSpec());
  const expected = {
    code: 'DomainRejected',
    message: 'libvirt said no',
    retryable: false,
    instanceId,
    step: 'defineDomain',
    problems: ['the machine type'],
  };
  await assert.rejects(cloud.client.wait(instanceId), (error: EverbootFailure) => {
    const { remedy, ...rest } = failureDocument(error);
    assert.deepEqual(rest, expected);
    assert.match(remedy, /libvirt/);
    return true;
  });
  const { phase, error, steps } = await cloud.client.show(instanceId);
  assert.equal(phase, 'Failed');
  assert.equal(error?.step, 'defineDomain');
  assert.deepEqual(
    steps.map(({ step, state }) => `${step} ${state}`),
    ['planInstance done', 'reserveInstance done', 'defineDomain failed', 'removeDomain done', 'releaseInstance done'],
  );
});

test('progress shows the bytes of a running step, and why it is tried again', async () => {
  const { reached, release } = holdAt(host, 'reserveInstance');
  const held = host.onStep;
  let attempts = 0;
  host.onStep = async (step) => {
    if (step === 'reserveInstance') {
      attempts += 1;
      if (attempts === 1) throw new EverbootFailure('HostIoError', 'the disk was asleep', { retryAfterMs: 10 });
    }
    await held(step);
  };
  const started = await cloud.client.createInstance(smallSpec());
  await reached;
  let step = (await cloud.client.progress(started)).steps.at(-1);
  while (step?.progress === undefined) {
    await sleep(50);
    step = (await cloud.client.progress(started)).steps.at(-1);
  }
  release();
  assert.equal(step.state, 'running');
  assert.equal(step.attempt, 2);
  assert.deepEqual(step.progress, { doneBytes: 25, totalBytes: 100 });
  assert.deepEqual(step.lastFailure, { code: 'HostIoError', message: 'the disk was asleep' });
  await cloud.client.wait(started);
  const done = await cloud.client.progress(started);
  assert.equal(done.phase, 'Ready');
  assert.ok(done.steps.every(({ state, endedAt }) => state === 'done' && endedAt !== undefined));
});

test('cancel returns when what was made is removed', async () => {
  const { reached } = holdAt(host, 'defineDomain');
  const { instanceId } = await cloud.client.createInstance(smallSpec());
  await reached;
  assert.ok(host.records.has(instanceId));
  const cancelled = await cloud.client.cancel(instanceId);
  assert.deepEqual(cancelled, { instanceId, operation: 'create', phase: 'Cancelled', cancelled: true });
  assert.equal(host.records.has(instanceId), false);
  await assert.rejects(cloud.client.wait(instanceId), failsWith('Cancelled', /cancelled/));
  assert.equal((await cloud.client.cancel(instanceId)).cancelled, false);
});

test('cancelling an id that nobody knows is refused', async () => {
  await assert.rejects(cloud.client.cancel(randomUUID()), failsWith('InstanceNotFound', /does not know/));
  await assert.rejects(cloud.client.cancel('web-1'), failsWith('SpecInvalid', /no instance id/));
});

test('deleting an instance that is being created cancels it first', async () => {
  const { reached } = holdAt(host, 'reserveInstance');
  const started = await cloud.client.createInstance(smallSpec());
  await reached;
  const deleted = await cloud.client.delete(started.instanceId);
  assert.equal(deleted.existed, false);
  await assert.rejects(cloud.client.wait(started), failsWith('Cancelled', /cancelled/));
});

test('two deletions at once are one, and a creation meanwhile is refused', async () => {
  const spec = smallSpec();
  const { instanceId } = await cloud.client.wait(await cloud.client.createInstance(spec));
  const { reached, release } = holdAt(host, 'readInstance');
  const first = cloud.client.delete(instanceId);
  await reached;
  const second = cloud.client.delete(instanceId);
  await assert.rejects(cloud.client.createInstance(spec), failsWith('InstanceBusy', /being deleted/));
  release();
  assert.deepEqual(await first, await second);
});

test('an instance that Temporal has forgotten is known to its host', async () => {
  const instanceId = forgottenInstance(host);
  const { phase, name, result } = await cloud.client.show(instanceId);
  assert.deepEqual([phase, name, result?.instanceId], ['Ready', 'old-1', instanceId]);
  assert.equal((await cloud.client.delete(instanceId)).existed, true);
  await assert.rejects(cloud.client.show(randomUUID()), failsWith('InstanceNotFound', /no host that polls has it/));
  assert.equal((await cloud.client.delete(randomUUID())).existed, false);
});

/** Leaves a host with an instance as it is when a namespace’s retention has passed: Temporal knows nothing of it. */
function forgottenInstance(on: PretendHost, instanceId: string = randomUUID()): string {
  const known = { name: 'old-1', host: on.name, instanceId, directory: '/pretend', disks: [] };
  on.records.set(instanceId, {
    ...{ version: 1, claim: { instanceId, operationId: randomUUID() }, specDigest: '', cacheNames: [], state: 'ready' },
    ...{ name: known.name, host: on.name, createdAt: new Date().toISOString(), result: { ...known, state: 'disks' } },
  });
  return instanceId;
}

test('the list shows each instance once, by its newest operation, without the deleted ones', async () => {
  const kept = await cloud.client.wait(await cloud.client.createInstance(smallSpec({ name: 'kept' })));
  const spec = smallSpec({ name: 'gone' });
  const gone = await cloud.client.wait(await cloud.client.createInstance(spec));
  await cloud.client.delete(gone.instanceId);
  let all = await cloud.client.list({ all: true });
  // Temporal’s lists lag behind.
  for (let tries = 0; tries < 50 && all.instances.find((one) => one.name === 'gone')?.phase !== 'Deleted'; tries += 1) {
    await sleep(100);
    all = await cloud.client.list({ all: true });
  }
  const ids = all.instances.map(({ instanceId }) => instanceId);
  assert.equal(new Set(ids).size, ids.length);
  assert.equal(all.instances.find(({ instanceId }) => instanceId === gone.instanceId)?.operation, 'delete');
  const { instances } = await cloud.client.list({ host: 'host-a' });
  assert.ok(instances.some(({ instanceId, phase }) => instanceId === kept.instanceId && phase === 'Ready'));
  assert.ok(!instances.some(({ instanceId }) => instanceId === gone.instanceId));
  const { instances: one, more } = await cloud.client.list({ limit: 1 });
  assert.deepEqual([one.length, more], [1, true]);
  assert.deepEqual(await cloud.client.list({ host: 'nobody"s' }), { instances: [], more: false });
});

test('a terminated operation says that nothing was undone', async () => {
  const { reached } = holdAt(host, 'reserveInstance');
  const { instanceId } = await cloud.client.createInstance(smallSpec());
  await reached;
  await temporal.workflow.getHandle(`instance/${instanceId}`).terminate('an operator was impatient');
  await assert.rejects(cloud.client.wait(instanceId), failsWith('Terminated', /impatient.*nothing was undone/));
  await cloud.client.delete(instanceId);
});

test('a mistake in the flavor names those that there are', async () => {
  const spec = smallSpec({ flavor: 'm1.huge' });
  await assert.rejects(cloud.client.createInstance(spec), failsWith('SpecInvalid', /known are m1\.large.*m1\.tiny/));
});

test('a spec with secrets travels sealed, or not at all', async () => {
  const spec = smallSpec({ adminPassword: 'planted-password' });
  await assert.rejects(cloud.client.createInstance(spec), failsWith('SecretKeyMissing', /public_key_file/));
  const client = await clientThatSeals();
  try {
    const started = await client.createInstance(spec);
    await client.wait(started);
    const history = await temporal.workflow.getHandle(`instance/${started.instanceId}`).fetchHistory();
    const payloads = JSON.stringify(history).replace(/"data":"([^"]*)"/g, (_, data) =>
      Buffer.from(data, 'base64').toString(),
    );
    assert.ok(payloads.includes('"adminPassword":{"sealed":"'));
    assert.ok(!payloads.includes('planted-password'));
  } finally {
    await client.close();
  }
});

async function clientThatSeals(): Promise<EverbootClient> {
  const publicKeyFile = `${cloud.folder}/public-${randomUUID()}.json`;
  await addKeyPair(publicKeyFile, `${cloud.folder}/private-${randomUUID()}.json`);
  return await connectClient({ address: cloud.server.address, namespace: 'default' }, { publicKeyFile });
}

let addedHost: Promise<PretendHost> | undefined;

/** Another host, from now on; Temporal may take a minute to list it, so that there is one for all. */
function secondHost(): Promise<PretendHost> {
  addedHost ??= cloud.addHost('host-b');
  return addedHost;
}

test('two hosts: the request has to name one of them', async () => {
  const second = await secondHost();
  await assert.rejects(cloud.client.createInstance(smallSpec()), failsWith('SpecInvalid', /host-a, host-b/));
  const made = await cloud.client.wait(await cloud.client.createInstance(smallSpec(), { host: 'host-b' }));
  assert.equal(made.host, 'host-b');
  assert.equal((await cloud.client.delete(made.instanceId)).host, 'host-b');
  const forgotten = forgottenInstance(second);
  assert.equal((await cloud.client.show(forgotten)).host, 'host-b');
  assert.equal((await cloud.client.delete(forgotten)).existed, true);
  assert.equal((await cloud.client.delete(randomUUID())).existed, false);
  assert.equal(second.records.size, 0);
});

test('an instance that Temporal has forgotten is not built once more on another of several hosts', async () => {
  const second = await secondHost();
  for (const more of [{ hosts: ['host-a', 'host-b'] }, {}]) {
    const id = forgottenInstance(second);
    const record = second.records.get(id);
    assert.ok(record);
    // A build that moved to another host may have left this on its first one.
    host.records.set(id, { ...record, host: 'host-a', state: 'building' });
    const started = await cloud.client.createInstance(smallSpec({ id, ...more }));
    assert.equal(started.host, 'host-b');
    assert.deepEqual(await cloud.client.wait(started), record.result);
    assert.equal(host.records.get(id)?.state, 'building', 'nothing is done on the other host');
  }
  host.onStep = async (step) => {
    if (step === 'readInstance') throw new EverbootFailure('NotManaged', 'no claim of everboot’s');
  };
  const foreign = cloud.client.createInstance(smallSpec({ hosts: ['host-a', 'host-b'] }));
  await assert.rejects(foreign, failsWith('NotManaged', /no claim/));
});

test('a prepared instance that is sent again may exist: only its first sending need not look for it', async () => {
  const second = await secondHost();
  const spec = smallSpec({ id: undefined, hosts: ['host-a', 'host-b'], adminPassword: 'planted-password' });
  const prepared = prepareInstance(spec);
  await assert.rejects(cloud.client.createInstance(prepared), failsWith('SecretKeyMissing', /public_key_file/));
  // As if the first sending had arrived all the same, and Temporal had forgotten it since.
  forgottenInstance(second, prepared.instanceId);
  const client = await clientThatSeals();
  try {
    assert.equal((await client.createInstance(prepared)).host, 'host-b');
  } finally {
    await client.close();
  }
});

/** Builds an instance on a host of its own, which goes away; returns its request, in which another one is the first. */
async function builtOnAHostThatGoesAway(name: string): Promise<{ id: string; spec: Record<string, unknown> }> {
  const away = await cloud.addHost(name);
  const id = randomUUID();
  const spec = smallSpec({ id, hosts: [name, 'host-a'] });
  assert.equal((await cloud.client.wait(await cloud.client.createInstance(spec))).host, name);
  await away.stop();
  return { id, spec: { ...spec, hosts: ['host-a', name] } };
}

test('an instance stays on its host, however often it is asked for while that host is away', async () => {
  const { id, spec } = await builtOnAHostThatGoesAway('host-c');
  const handle = temporal.workflow.getHandle(`instance/${id}`);
  assert.equal((await cloud.client.createInstance(spec)).host, 'host-c');
  await cloud.client.cancel(id);
  assert.equal((await cloud.client.createInstance(spec)).host, 'host-c', 'after a creation that was cancelled');
  await handle.terminate('a test');
  assert.equal((await cloud.client.createInstance(spec)).host, 'host-c', 'after one that was terminated');
  await cloud.client.cancel(id);
  const { hosts: _, ...anywhere } = spec;
  const elsewhere = cloud.client.createInstance(anywhere, { host: 'host-a' });
  await assert.rejects(elsewhere, failsWith('InstanceExists', /on host-c, not on host-a/));
  const deletion = assert.rejects(cloud.client.delete(id), failsWith('Terminated', /terminated/));
  while ((await cloud.client.show(id)).operation !== 'delete') await sleep(50);
  await handle.terminate('a test');
  await deletion;
  assert.equal((await cloud.client.createInstance(spec)).host, 'host-c', 'after a deletion that was terminated');
  await cloud.client.cancel(id);
  assert.equal((await cloud.client.createInstance(spec)).host, 'host-c', 'after a creation that followed it');
  await cloud.client.cancel(id);
  assert.equal(host.records.has(id), false);
});

test('a deletion on another host than the one that has the instance is refused, and frees no id', async () => {
  const { id, spec } = await builtOnAHostThatGoesAway('host-d');
  const refused = failsWith('InstanceExists', /on host-d, not on host-a/);
  await assert.rejects(cloud.client.delete(id, { host: 'host-a' }), refused);
  assert.equal((await cloud.client.createInstance(spec)).host, 'host-d');
  await assert.rejects(cloud.client.delete(id, { host: 'host-a' }), refused, 'nor is a creation cancelled for it');
  assert.equal((await cloud.client.show(id)).phase, 'Building');
  await cloud.client.cancel(id);
  await assert.rejects(cloud.client.delete(id, { host: 'host-a' }), refused);
  assert.equal((await cloud.client.show(id)).operation, 'create');
  const deletion = assert.rejects(cloud.client.delete(id), failsWith('Terminated', /terminated/));
  while ((await cloud.client.show(id)).operation !== 'delete') await sleep(50);
  await assert.rejects(cloud.client.delete(id, { host: 'host-a' }), refused, 'nor another deletion waited for');
  await temporal.workflow.getHandle(`instance/${id}`).terminate('a test');
  await deletion;
});

test('a creation that was undone is kept nowhere: what an earlier one left on another host can be deleted', async () => {
  host.onStep = async (step) => {
    if (step === 'defineDomain') throw new EverbootFailure('DomainRejected', 'libvirt said no');
  };
  const second = await secondHost();
  const spec = smallSpec({ id: forgottenInstance(second) });
  const started = await cloud.client.createInstance(spec, { host: 'host-a' });
  await assert.rejects(cloud.client.wait(started), failsWith('DomainRejected', /said no/));
  assert.equal((await cloud.client.delete(started.instanceId, { host: 'host-b' })).existed, true);
});

test('a host that does not poll keeps no instance from being built on another one', async () => {
  for (const id of [undefined, randomUUID()]) {
    const started = await cloud.client.createInstance(smallSpec({ hosts: ['host-a', 'host-z'], id }));
    assert.equal((await cloud.client.wait(started)).host, 'host-a');
  }
});

test('no server, no namespace and no worker are distinguished, and quickly', async () => {
  const nowhere = connectClient({ address: `127.0.0.1:${await freePort()}`, namespace: 'default' });
  await assert.rejects(nowhere, failsWith('TemporalUnreachable', /no Temporal server answers/));
  const { address } = cloud.server;
  const elsewhere = await connectClient({ address, namespace: 'elsewhere' });
  await assert.rejects(elsewhere.createInstance(smallSpec()), failsWith('ConfigInvalid', /no namespace "elsewhere"/));
  await temporal.workflowService.registerNamespace({
    namespace: 'empty',
    workflowExecutionRetentionPeriod: { seconds: 86_400 as unknown as never },
  });
  const empty = await connectClient({ address, namespace: 'empty' });
  await waitForNamespace(empty);
  for (const spec of [smallSpec(), smallSpec({ host: 'host-a' })]) {
    await assert.rejects(empty.createInstance(spec), failsWith('HostUnreachable', /no worker asks for work/));
  }
  await assert.rejects(empty.show(randomUUID()), failsWith('HostUnreachable', /no worker asks for work/));
  await Promise.all([elsewhere.close(), empty.close()]);
});

/** A new namespace is known everywhere in the server after a moment. */
async function waitForNamespace(client: Awaited<ReturnType<typeof connectClient>>): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    try {
      await client.hosts();
      return;
    } catch {
      await sleep(100);
    }
  }
}
