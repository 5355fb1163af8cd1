import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client, Connection } from '@temporalio/client';
import { startWorkflow } from '../../client/temporal/workflow-calls.ts';
import { type HostPaths, hostPaths } from '../../domain/host-paths.ts';
import { type CreateInstanceInput, instanceWorkflowId } from '../../domain/operations.ts';
import { parseSpec } from '../../domain/parse-spec.ts';
import { waitForKernelLock } from '../../hypervisor/locks/kernel-lock.ts';
import { lockKeys } from '../../hypervisor/locks/lock-keys.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { makeRawImage } from '../fixtures/images.ts';
import { serveSlowly } from '../fixtures/slow-image-server.ts';
import { startTemporalServer } from '../fixtures/temporal-server.ts';
import { until } from '../fixtures/until.ts';

const mebibyte = 2 ** 20;
const script = new URL('../fixtures/host-process.ts', import.meta.url).pathname;

test('a worker that is killed in the middle of a reconciliation leaves the rest to the next one', async (t) => {
  const server = await startTemporalServer();
  t.after(() => server.stop());
  const folder = await mkdtemp('/var/tmp/everboot-test-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o711);
  const paths = hostPaths(join(folder, 'instances'), '_base');
  const name = `test-${randomUUID().slice(0, 8)}`;
  const connection = await Connection.connect({ address: server.address });
  t.after(() => connection.close());
  const client = new Client({ connection });
  let log = '';
  const startHost = () => startWorker([server.address, folder, name], (text) => (log += text));
  let child = await startHost();
  t.after(() => kill(child));

  // Three boots that wait for the same image, and are terminated.
  const image = await makeRawImage(folder, 'slow.raw', 48 * mebibyte);
  const source = await serveSlowly(image.path, 4 * mebibyte);
  t.after(() => source.close());
  const ids = await Promise.all(
    [1, 2, 3].map(async () => await start(client, name, { url: source.url, digest: image.digest, format: 'raw' })),
  );
  await until(
    'a fetch, and three reserved directories',
    unlessGone(() => isFetchingFor(ids, paths)),
    10,
  );
  await Promise.all(ids.map((id) => client.workflow.getHandle(instanceWorkflowId(id)).terminate('by a test')));

  // Whoever releases the last claim waits for this lock, with the directories gone and something left to do.
  const [cacheName = ''] = await readdir(paths.claims);
  const request = { lockFile: paths.locks, key: lockKeys.fetch(cacheName).text };
  const lock = await waitForKernelLock(request, { timeoutMs: 30_000 });
  assert.ok(lock !== undefined, 'the download has ended with its run');
  const order = { host: name, dryRun: false };
  const reconciliation = await startWorkflow(client, 'reconcileHost', order, { workflowId: `host/${name}/reconcile` });
  await until(
    'a reconciliation that is in the middle',
    unlessGone(() => isClaimedWithoutDirectories(ids, paths, cacheName)),
    10,
  );
  await until('word of both removals', async () => (log.match(/reconciliation removed instance/g) ?? []).length === 2);
  await kill(child);
  assert.ok(
    (await readdir(paths.cache)).some((file) => file.endsWith('.part')),
    'it was not done',
  );
  await lock.release();

  child = await startHost();
  const result = await reconciliation.result();
  assert.deepEqual(result.notes, []);
  assert.ok(result.removed.every(({ reason }) => reason === 'Ended'));
  // What is partial in the cache is its sweep's.
  await (await startWorkflow(client, 'sweepCache', order, { workflowId: `cache/${name}/sweep` })).result();
  await kill(child);
  await assertCleanSlate(paths, ids);
});

/** Starts a host's worker, and waits until it is there. */
async function startWorker(args: readonly string[], onLog: (text: string) => void): Promise<ChildProcess> {
  const started = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  started.stderr?.on('data', (text: Buffer) => onLog(text.toString()));
  await Promise.race([once(started.stdout as NodeJS.ReadableStream, 'data'), once(started, 'exit')]);
  assert.equal(started.exitCode, null, 'the worker is there');
  return started;
}

async function isFetchingFor(ids: readonly string[], { instances, cache }: HostPaths): Promise<boolean> {
  const there = await readdir(instances);
  const part = (await readdir(cache)).find((file) => file.endsWith('.part'));
  if (part === undefined || !ids.every((id) => there.includes(id))) return false;
  return (await stat(join(cache, part))).size > 0;
}

/** The last claim stays until nobody writes the image any more. */
async function isClaimedWithoutDirectories(
  ids: readonly string[],
  { instances, claims }: HostPaths,
  cacheName: string,
): Promise<boolean> {
  const there = await readdir(instances);
  const claimed = await readdir(join(claims, cacheName));
  return claimed.length === 1 && ids.every((id) => !there.some((entry) => entry.startsWith(id)));
}

async function start(client: Client, host: string, image: object): Promise<string> {
  const flavor = { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 0 };
  const { spec } = parseSpec({ id: randomUUID(), name: 'killed', flavor, image, boot: 'disks' });
  const input: CreateInstanceInput = {
    ...{ operationId: randomUUID(), host, specDigest: '' },
    spec: { ...spec, secrets: {} },
    flavor: { name: 'inline', ...flavor },
  };
  await startWorkflow(client, 'createInstance', input, {
    workflowId: instanceWorkflowId(spec.id),
    memo: { operation: 'create', operationId: input.operationId, host },
  });
  return spec.id;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** The thing that a test looks at may go away, or not be there yet, while it does. */
function unlessGone(holds: () => Promise<boolean>): () => Promise<boolean> {
  return () => holds().catch(() => false);
}
