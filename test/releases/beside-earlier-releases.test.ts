import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure, Client, Connection, WorkflowFailedError } from '@temporalio/client';
import type { EverbootClient, InstanceResult, TemporalTarget } from '../../client/index.ts';
import { startWorkflow } from '../../client/temporal/workflow-calls.ts';
import { cleanupWorkflowId } from '../../domain/operations.ts';
import { listFolder } from '../../hypervisor/files/small-file.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { makeQcow2Image, makeRawImage } from '../fixtures/images.ts';
import { serveSlowly } from '../fixtures/slow-image-server.ts';
import { startOwnTemporalServer } from '../fixtures/temporal-server.ts';
import { makeReleaseHost, type ReleaseHost } from './release-workers.ts';
import { keptReleases, type Release, thisCode, unpackRelease } from './releases.ts';

const flavor = { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 1, swapMb: 16 };

/** A host without a worker, on a Temporal server on which nobody else works. */
async function startHost(t: TestContext): Promise<{ readonly host: ReleaseHost; readonly address: string }> {
  const temporal = await startOwnTemporalServer();
  const host = await makeReleaseHost(temporal.address);
  t.after(async () => {
    await host.stop();
    await temporal.stop();
  });
  return { host, address: temporal.address };
}

/** The client that a control plane of that release has. */
async function clientOf(t: TestContext, { root }: Release, address: string): Promise<EverbootClient> {
  const { connectClient }: { connectClient: (target: TemporalTarget) => Promise<EverbootClient> } = await import(
    join(root, 'client/index.ts')
  );
  const client = await connectClient({ address, namespace: 'default' });
  t.after(() => client.close());
  return client;
}

/** A qcow2 instance with every disk, whose domain is defined. */
async function specOn(host: ReleaseHost, more: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
  const [image, kernel] = [await makeQcow2Image(host.folder), await makeQcow2Image(host.folder, 'kernel.img', 8)];
  return {
    id: randomUUID(),
    name: 'upgraded',
    host: host.name,
    flavor,
    image: { file: image.path, digest: image.digest, format: 'qcow2' },
    kernel: { file: kernel.path, digest: kernel.digest, format: 'raw' },
    configDrive: true,
    boot: 'defined',
    ...more,
  };
}

interface Parts {
  readonly workflows: Release;
  readonly steps: Release;
  readonly client: Release;
}

/** A host whose steps are of one release and whose workflows of another, and a control plane's client. */
async function startParts(t: TestContext, { workflows, steps, client: of }: Parts) {
  const { host, address } = await startHost(t);
  const [, stepsWorker] = await Promise.all([host.start(workflows, 'workflows'), host.start(steps, 'steps')]);
  return { host, address, stepsWorker, client: await clientOf(t, of, address) };
}

async function bootsAndDeletes(host: ReleaseHost, client: EverbootClient): Promise<void> {
  const made = await client.wait(await client.createInstance(await specOn(host)));
  const names = ['disk', 'disk.config', 'disk.local', 'disk.swap', 'kernel'];
  assert.deepEqual(made.disks.map(({ name }) => name).sort(), names);
  assert.equal(made.state, 'defined');
  assert.equal((await client.delete(made.instanceId)).existed, true);
  await assertCleanSlate(host.paths, [made.instanceId]);
}

/** The code that a release's hosts have for a start that libvirt refuses; early ones had one code for all refusals. */
async function startFailureCodeOf({ root }: Release): Promise<string> {
  const { failureTable } = await import(join(root, 'domain/failures.ts'));
  return Object.hasOwn(failureTable, 'DomainStartFailed') ? 'DomainStartFailed' : 'DomainRejected';
}

async function failsAndUndoes(host: ReleaseHost, client: EverbootClient, code: string): Promise<void> {
  // Everything is made by then, and libvirt knows the domain: nobody listens where its volume should be.
  const volumes = [{ nbd: { host: '127.0.0.1', port: 1 } }];
  const started = await client.createInstance(await specOn(host, { boot: 'running', volumes }));
  await assert.rejects(client.wait(started), isFailure(code, 'startDomain'));
  await assertCleanSlate(host.paths, [started.instanceId]);
}

/** Clients of other releases have failures of their own. */
function isFailure(code: string, step: string) {
  return (error: Error & { code?: string; step?: string }) => {
    assert.deepEqual([error.code, error.step], [code, step], error.message);
    return true;
  };
}

/**
 * A step that the host does not know fails an operation clearly, and a deferred cleanup waits until the host was
 * upgraded.
 */
async function meetsUnknownSteps(
  t: TestContext,
  { host, address, stepsWorker }: Awaited<ReturnType<typeof startParts>>,
): Promise<void> {
  const connection = await Connection.connect({ address });
  t.after(() => connection.close());
  const caller = new Client({ connection });
  const order = { host: host.name, dryRun: true };
  const reconciliation = await startWorkflow(caller, 'reconcileHost', order, { workflowId: 'reconcile' });
  await assert.rejects(reconciliation.result(), (error) => {
    assert.ok(error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure);
    assert.equal(error.cause.type, 'HostOutdated');
    assert.match(error.cause.message, new RegExp(`${host.name} does not know the step reconcileHost`));
    return true;
  });

  const cleanup = { host: host.name, instanceId: randomUUID(), operationId: randomUUID(), name: 'gone' };
  const workflowId = cleanupWorkflowId(cleanup);
  const pendingCleanup = await startWorkflow(caller, 'cleanUpHost', cleanup, { workflowId });
  for (let attempt = 0; attempt < 2; await sleep(100)) {
    const [pending] = (await pendingCleanup.describe()).raw.pendingActivities ?? [];
    attempt = pending?.attempt ?? 0;
    if (attempt > 1) assert.match(pending?.lastFailure?.message ?? '', /removeOrphans is not registered/);
  }
  await stepsWorker.end();
  await host.start(thisCode, 'steps');
  await pendingCleanup.result();
}

/** A boot that one release begins, and in the middle of which its worker is replaced by the other's. */
async function replacedInTheMiddle(t: TestContext, before: Release, after: Release): Promise<void> {
  const { host, address } = await startHost(t);
  const image = await makeRawImage(host.folder, 'image.raw', 16 * 2 ** 20);
  const server = await serveSlowly(image.path, 2 ** 20);
  t.after(() => server.close());
  const worker = await host.start(before);
  const client = await clientOf(t, before, address);
  const spec = await specOn(host, { image: { url: server.url, digest: image.digest, format: 'raw' } });
  const started = await client.createInstance(spec);
  while (server.sentBytes < 4 * 2 ** 20) await sleep(50);
  await worker.end();
  const { length: askedBefore } = server.offsets;
  server.bytesPerSecond = 400 * 2 ** 20;
  await host.start(after);

  const made: InstanceResult = await client.wait(started);
  assert.equal(made.disks.length, 5);
  assert.ok((server.offsets[askedBefore] ?? 0) > 0, 'the download continues at its byte');
  const later = await clientOf(t, after, address);
  assert.equal((await later.delete(made.instanceId)).existed, true);
  await assertCleanSlate(host.paths, [made.instanceId]);
  assert.deepEqual(await listFolder(host.paths.claims), []);
}

for (const name of await keptReleases()) {
  const earlier = await unpackRelease(name);
  test.after(() => earlier.remove());

  test(`workflows of ${name} work with a host and a client of this code`, async (t) => {
    const { host, client } = await startParts(t, { workflows: earlier, steps: thisCode, client: thisCode });
    await bootsAndDeletes(host, client);
    await failsAndUndoes(host, client, await startFailureCodeOf(thisCode));
  });
  test(`workflows of this code work with a host and a client of ${name}, and wait for no step that it lacks`, async (t) => {
    const parts = await startParts(t, { workflows: thisCode, steps: earlier, client: earlier });
    await bootsAndDeletes(parts.host, parts.client);
    await failsAndUndoes(parts.host, parts.client, await startFailureCodeOf(earlier));
    await meetsUnknownSteps(t, parts);
  });
  test(`a boot that ${name} started is ended by this code, when the worker is upgraded in the middle`, async (t) => {
    await replacedInTheMiddle(t, earlier, thisCode);
  });
  test(`a boot that this code started is ended by ${name}, when the worker is rolled back in the middle`, async (t) => {
    await replacedInTheMiddle(t, thisCode, earlier);
  });
}
