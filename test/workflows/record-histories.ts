/**
 * Records the histories that replay.test.ts replays. Run it only when the workflows were changed on purpose, and keep the
 * old files as long as runs of the release before may be open: `node test/workflows/record-histories.ts instance|cache|injection`.
 */
import { appendFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cancellationSignal, heartbeat } from '@temporalio/activity';
import { cacheWorkflowId } from '../../domain/cache.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HostActivities } from '../../domain/host-activities.ts';
import { instanceWorkflowId } from '../../domain/operations.ts';
import { runProgram } from '../../hypervisor/run-program.ts';
import { findTemporalCli } from '../../workers/temporal-server.ts';
import { makeQcow2Image } from '../fixtures/images.ts';
import { stateDirectory } from '../fixtures/state-directory.ts';
import { startTemporalServer } from '../fixtures/temporal-server.ts';
import { startTestHost } from '../fixtures/test-host.ts';

const target = new URL('../histories/', import.meta.url).pathname;
await mkdir(target, { recursive: true });
const server = await startTemporalServer();
process.env.EVERBOOT_TEST_TEMPORAL = server.address;
const temporal = (await findTemporalCli(stateDirectory(), process.env.PATH ?? '')) ?? 'temporal';
const kind = process.argv[2] ?? 'instance';
const injecting = { toml: '[libvirt]\ninject_partition = 0\ninject_key = true\nresize_fs_using_block_device = true\n' };
const host = await startTestHost(kind === 'injection' ? injecting : {});
const image = await makeQcow2Image(host.folder);
const kernel = await makeQcow2Image(host.folder, 'kernel.img', 8);
const spec = {
  flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 1, swapMb: 16 },
  image: { file: image.path, digest: image.digest, format: 'qcow2' },
  kernel: { file: kernel.path, digest: kernel.digest, format: 'raw' },
  boot: 'defined',
};

async function record(name: string, workflowId: string): Promise<void> {
  const handle = host.client.workflow.getHandle(workflowId);
  await handle.result().catch(() => undefined);
  // The CLI's form is the one that the UI exports too, and in which a replay takes a history.
  const args = ['workflow', 'show', '--address', server.address, '-w', handle.workflowId, '-o', 'json'];
  const { stdout: history } = await runProgram(temporal, args, { timeoutMs: 30_000, maxOutputBytes: 2 ** 24 });
  // Of this machine, and different in each run.
  const text = history
    .replaceAll(host.folder, '/var/lib/everboot')
    .replaceAll(hostname(), 'host-1')
    .replaceAll(host.name, 'host-1');
  await writeFile(join(target, `${name}.json`), `${text}`);
}

async function create(name: string): Promise<string> {
  const { spec: made } = await host.create(spec);
  await record(name, instanceWorkflowId(made.id));
  return made.id;
}

async function remove(name: string | undefined, id: string): Promise<void> {
  await host.client.workflow.execute('deleteInstance', {
    args: [{ operationId: crypto.randomUUID(), host: host.name, instanceId: id }],
    taskQueue: 'everboot',
    workflowId: instanceWorkflowId(id),
  });
  if (name !== undefined) await record(name, instanceWorkflowId(id));
}

function strike(step: keyof HostActivities, blow: (run: () => Promise<unknown>) => Promise<unknown>): void {
  host.strike = async (name, run) => (name === step ? await blow(run) : await run());
}

async function recordInstances(): Promise<void> {
  await remove('delete', await create('create-cold'));
  await remove(undefined, await create('create-warm'));

  let failures = 0;
  strike('createSwapDisk', async (run) => {
    failures += 1;
    if (failures < 3) throw new EverbootFailure('HostIoError', 'struck', { retryAfterMs: 10 });
    return await run();
  });
  await remove(undefined, await create('create-retried'));

  strike('defineDomain', async () => {
    throw new EverbootFailure('DomainRejected', 'struck');
  });
  await create('create-failed');

  const begun = Promise.withResolvers<void>();
  strike('createRootDisk', async () => {
    begun.resolve();
    const signal = cancellationSignal();
    while (!signal.aborted) {
      heartbeat();
      await sleep(20);
    }
    throw signal.reason;
  });
  const { spec: cancelled } = await host.create(spec);
  await begun.promise;
  await host.client.workflow.getHandle(instanceWorkflowId(cancelled.id)).cancel();
  await record('create-cancelled', instanceWorkflowId(cancelled.id));
}

async function onCache(name: string, workflowType: string, input: object): Promise<void> {
  const workflowId = cacheWorkflowId(host.name, name);
  await host.client.workflow.start(workflowType, {
    args: [{ host: host.name, ...input }],
    taskQueue: 'everboot',
    workflowId,
  });
  await record(name, workflowId);
}

async function recordCache(): Promise<void> {
  await onCache('cache-precache', 'precacheImage', { image: spec.image, pin: true });
  await onCache('cache-list', 'listCache', {});
  await onCache('cache-sweep', 'sweepCache', { dryRun: false });
  await onCache('cache-scrub', 'scrubCache', { names: null, force: true });
  const [name = ''] = await readdir(host.paths.bases);
  await appendFile(join(host.paths.cache, name.replace(/\.json$/, '')), 'rotten');
  await onCache('cache-scrub-damaged', 'scrubCache', { names: null, force: true });
}

/** Disks by mappings, and a root disk whose file system grows and is written to. */
async function recordInjection(): Promise<void> {
  const { kernel: _, ...bootable } = spec;
  const flavor = { ...spec.flavor, ephemeralGb: 2 };
  const mappings = { ephemerals: [{ sizeGb: 1 }, { sizeGb: 1 }], swap: { sizeMb: 16 } };
  const sshKeys = ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0000000000000000000000000000000000000000000 test'];
  const { spec: made } = await host.create({ ...bootable, flavor, ...mappings, sshKeys, configDrive: false });
  await record('create-injected', instanceWorkflowId(made.id));
  await remove(undefined, made.id);
}

const recordings = { instance: recordInstances, cache: recordCache, injection: recordInjection };
await recordings[kind as keyof typeof recordings]();
await host.stop();
await server.stop();
