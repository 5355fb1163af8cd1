import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startWorkflow } from '../../client/temporal/workflow-calls.ts';
import type { HostActivities } from '../../domain/host-activities.ts';
import type { ReconciledItem, ReconcileResult } from '../../domain/host-maintenance.ts';
import type { ReconcileReason } from '../../domain/judge-claim.ts';
import { instanceWorkflowId } from '../../domain/operations.ts';
import { claimsOn } from '../../hypervisor/image-store/claims.ts';
import { withInstanceLock } from '../../hypervisor/instance/instance-lock.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { assertCleanSlate, domainIds } from '../fixtures/clean-slate.ts';
import { makeQcow2Image, type TestImage } from '../fixtures/images.ts';
import { startTestHost, type TestHost } from '../fixtures/test-host.ts';

type Step = keyof HostActivities;

let host: TestHost;
let image: TestImage;
let count = 0;
before(async () => {
  host = await startTestHost();
});
after(() => host.stop());

/** A spec whose image is another one each time, so that the cache is cold for it. */
async function freshSpec(boot: 'disks' | 'defined' | 'running'): Promise<Record<string, unknown>> {
  count += 1;
  image = await makeQcow2Image(host.folder, `image-${count}.qcow2`);
  return {
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 1, swapMb: 16 },
    image: { file: image.path, digest: image.digest, format: 'qcow2' },
    boot,
  };
}

/** The workflow of the last reconciliation. */
let lastReconciliation = '';

async function reconcile(dryRun = false): Promise<ReconcileResult> {
  lastReconciliation = `host/${host.name}/reconcile/${randomUUID()}`;
  const order = { host: host.name, dryRun };
  return await (await startWorkflow(host.client, 'reconcileHost', order, { workflowId: lastReconciliation })).result();
}

/** The items of an instance in a reconciliation. */
function saidOf({ removed, kept }: ReconcileResult, instanceId: string): ReconciledItem[] {
  return [...removed, ...kept].filter(({ claim }) => claim?.instanceId === instanceId);
}

function reasonsOf(result: ReconcileResult, instanceId: string): ReconcileReason[] {
  return saidOf(result, instanceId).map(({ reason }) => reason);
}

/** Begins a boot, and terminates it when a step has had its effect, before the workflow learns of that. */
async function terminatedAfter(step: Step, boot: 'disks' | 'defined' | 'running'): Promise<string> {
  const reached = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  host.inject = async (name, run) => {
    const made = await run();
    if (name !== step) return made;
    reached.resolve();
    await release.promise;
    return made;
  };
  const { spec } = await host.create(await freshSpec(boot));
  await reached.promise;
  await host.client.workflow.getHandle(instanceWorkflowId(spec.id)).terminate('by a test');
  release.resolve();
  host.inject = undefined;
  return spec.id;
}

/** Reconciles until nothing works on the host any more: the attempts of a terminated run end by themselves. */
async function reconcileUntilFree(instanceId: string): Promise<ReconcileResult> {
  for (;;) {
    const result = await reconcile();
    if (!reasonsOf(result, instanceId).includes('Locked')) return result;
  }
}

const injections: readonly (readonly [Step, 'disks' | 'defined' | 'running'])[] = [
  ['reserveInstance', 'disks'],
  ['claimBaseImage', 'disks'],
  ['downloadImage', 'disks'],
  ['createRootDisk', 'disks'],
  ['writeConfigDrive', 'defined'],
  ['defineDomain', 'defined'],
  ['startDomain', 'running'],
];
for (const [step, boot] of injections) {
  test(`a boot (${boot}) that was terminated after ${step} leaves nothing that a reconciliation does not remove`, async () => {
    const id = await terminatedAfter(step, boot);
    const result = await reconcileUntilFree(id);
    assert.deepEqual(
      saidOf(result, id).map(({ reason, note }) => [reason, note]),
      [['Ended', 'its operation terminated']],
    );
    assert.deepEqual(result.notes, []);
    await assertCleanSlate(host.paths, [id]);
    assert.deepEqual(saidOf(await reconcile(), id), [], 'there is nothing of it to say any more');
  });
}

/** Every path below the instances with what makes it what it is. */
async function fingerprint(): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of (await readdir(host.paths.instances, { recursive: true })).sort()) {
    // A base's hash is recorded by itself, a second after the base.
    if (name.startsWith('.everboot/scrubs')) continue;
    const path = join(host.paths.instances, name);
    const stats = await stat(path);
    const hash =
      stats.isFile() && stats.size < 2 ** 25
        ? createHash('sha256')
            .update(await readFile(path))
            .digest('hex')
        : '';
    found[name] = `${stats.mode} ${stats.uid} ${stats.mtimeMs} ${hash}`;
  }
  return found;
}

test('a dry run lists removals, and touches nothing', async () => {
  const id = await terminatedAfter('defineDomain', 'defined');
  await reconcileUntilFreeDry(id);
  const before = await fingerprint();
  const result = await reconcile(true);
  assert.deepEqual(reasonsOf(result, id), ['Ended']);
  assert.equal(result.dryRun, true);
  const [item] = result.removed;
  assert.ok(item?.parts.includes('its directory') && item.parts.includes('its domain, shut off'), `${item?.parts}`);
  assert.deepEqual(await fingerprint(), before);
  assert.ok((await domainIds()).includes(id));
  const handle = host.client.workflow.getHandle(lastReconciliation);
  const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  assert.match(currentDetails, new RegExp(`\\| would go \\| instance ${id} \\| .*terminated \\|`));
  await reconcileUntilFree(id);
  await assertCleanSlate(host.paths, [id]);
});

async function reconcileUntilFreeDry(instanceId: string): Promise<void> {
  while (reasonsOf(await reconcile(true), instanceId).includes('Locked'));
}

test('what Nova left is reported and not touched: directories, cached files, domains', async () => {
  const novas = randomUUID();
  const directory = join(host.paths.instances, novas);
  await mkdir(directory);
  await writeFile(join(directory, 'disk'), 'a disk');
  await writeFile(join(directory, 'disk.0123abcd.everboot-tmp'), 'named like one of ours, in a folder that is not');
  await mkdir(join(host.paths.instances, `${randomUUID()}_resize`));
  await writeFile(join(host.paths.instances, 'compute_nodes'), '{}');
  await writeFile(join(host.paths.cache, 'e'.repeat(40)), 'a base');
  const damaged = randomUUID();
  await mkdir(join(host.paths.instances, damaged));
  await writeFile(join(host.paths.instances, damaged, 'everboot.json'), '{"version":2}');
  const xml = `<domain type='qemu'><name>nova-${novas.slice(0, 8)}</name><uuid>${novas}</uuid><memory>65536</memory><os><type>hvm</type></os></domain>`;
  const file = join(host.folder, 'nova.xml');
  await writeFile(file, xml);
  const virsh = (...args: string[]) => runProgram('virsh', ['-c', 'qemu:///system', ...args], { timeoutMs: 20_000 });
  await virsh('define', file);
  try {
    const before = await fingerprint();
    const result = await reconcile();
    assert.deepEqual(await fingerprint(), before);
    const said = new Map(result.kept.map(({ subject, reason }) => [subject, reason]));
    assert.equal(said.get(directory), 'NoClaim');
    assert.equal(said.get(join(host.paths.instances, damaged)), 'UnreadableRecord');
    assert.equal(said.get(join(host.paths.cache, 'e'.repeat(40))), 'NoClaim');
    assert.equal(said.get(`the domain nova-${novas.slice(0, 8)} (${novas})`), 'NoClaim');
    assert.deepEqual(result.removed, []);
    assert.ok((await domainIds()).includes(novas));
  } finally {
    await virsh('undefine', novas);
    for (const name of await readdir(host.paths.instances)) {
      if (name !== '.everboot' && name !== '_base') await rm(join(host.paths.instances, name), { recursive: true });
    }
    await rm(join(host.paths.cache, 'e'.repeat(40)));
  }
});

test('of an instance whose record is damaged nothing is removed, its claims on the cache neither', async () => {
  const id = await terminatedAfter('createRootDisk', 'disks');
  await reconcileUntilFreeDry(id);
  const file = join(host.paths.instances, id, 'everboot.json');
  const record = await readFile(file, 'utf8');
  assert.equal(JSON.parse(record).domain, false, 'it can go without libvirt');
  await writeFile(file, '{"version":2}');
  const before = await fingerprint();
  assert.deepEqual(reasonsOf(await reconcile(), id), ['UnreadableRecord']);
  assert.deepEqual(await fingerprint(), before);
  await writeFile(file, record);
  await reconcileUntilFree(id);
  await assertCleanSlate(host.paths, [id]);
});

test('an instance whose files somebody works on is left until that ends', async () => {
  const id = await terminatedAfter('createRootDisk', 'disks');
  await reconcileUntilFreeDry(id);
  await withInstanceLock(host.paths, id, { shared: true }, async () => {
    assert.deepEqual(reasonsOf(await reconcile(), id), ['Locked']);
    assert.ok((await readdir(host.paths.instances)).includes(id));
  });
  assert.deepEqual(reasonsOf(await reconcile(), id), ['Ended']);
  await assertCleanSlate(host.paths, [id]);
});

test('a ready instance stays, known to Temporal or not; one without its domain is reported', async () => {
  const { spec } = await host.create(await freshSpec('defined'));
  await host.client.workflow.getHandle(instanceWorkflowId(spec.id)).result();
  assert.deepEqual(reasonsOf(await reconcile(), spec.id), [], 'what is well is only counted');
  await runProgram('virsh', ['-c', 'qemu:///system', 'undefine', spec.id], { timeoutMs: 20_000 });
  assert.deepEqual(reasonsOf(await reconcile(), spec.id), ['ReadyWithoutDomain']);

  // The same instance under an id of which Temporal has never heard, as after its retention.
  const unknown = randomUUID();
  await renameInstance(spec.id, unknown);
  assert.deepEqual(reasonsOf(await reconcile(), unknown), ['ReadyWithoutDomain']);
  const record = JSON.parse(await readFile(join(host.paths.instances, unknown, 'everboot.json'), 'utf8'));
  const { domain: _, ...result } = record.result;
  await writeRecord(unknown, { ...record, result });
  assert.deepEqual(reasonsOf(await reconcile(), unknown), ['ReadyUnknown']);
  await writeRecord(unknown, { ...record, state: 'building' });
  assert.deepEqual(reasonsOf(await reconcile(), unknown), ['Unknown']);
  assert.ok((await readdir(host.paths.instances)).includes(unknown));
  await rm(join(host.paths.instances, unknown), { recursive: true });
  for (const cacheName of await readdir(host.paths.claims)) {
    assert.deepEqual(await claimsOn(host.paths, cacheName), [`${spec.id}~${record.claim.operationId}`]);
  }
  // Its directory is gone by hand, and Temporal says that it succeeded.
  assert.deepEqual(reasonsOf(await reconcile(), spec.id), ['Unmarked']);
  await host.remove(spec.id);
  await assertCleanSlate(host.paths, [spec.id]);
});

async function writeRecord(instanceId: string, record: unknown): Promise<void> {
  await writeFile(join(host.paths.instances, instanceId, 'everboot.json'), JSON.stringify(record));
}

async function renameInstance(from: string, to: string): Promise<void> {
  await rename(join(host.paths.instances, from), join(host.paths.instances, to));
  const record = JSON.parse(await readFile(join(host.paths.instances, to, 'everboot.json'), 'utf8'));
  await writeRecord(to, { ...record, claim: { ...record.claim, instanceId: to } });
}

test('a run that was reset keeps its files, and continues with them', async () => {
  const id = await terminatedAfter('createRootDisk', 'disks');
  const handle = host.client.workflow.getHandle(instanceWorkflowId(id));
  const { events } = await handle.fetchHistory();
  const finished = (events ?? []).findLast(({ workflowTaskCompletedEventAttributes: done }) => done != null);
  assert.ok(finished?.eventId != null);
  const gate = Promise.withResolvers<void>();
  host.inject = async (name, run) => {
    if (name === 'markReady') await gate.promise;
    return await run();
  };
  await host.client.workflowService.resetWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId: instanceWorkflowId(id), runId: (await handle.describe()).runId },
    reason: 'by a test',
    workflowTaskFinishEventId: finished.eventId,
    requestId: randomUUID(),
  });
  assert.deepEqual(reasonsOf(await reconcile(), id), ['Owned']);
  assert.ok((await readdir(host.paths.instances)).includes(id));
  gate.resolve();
  host.inject = undefined;
  await host.client.workflow.getHandle(instanceWorkflowId(id)).result();
  assert.deepEqual(reasonsOf(await reconcile(), id), []);
  await host.remove(id);
  await assertCleanSlate(host.paths, [id]);
});

test('the orphans of one attempt are removed while the next runs on another host, which is not touched', async () => {
  const id = await terminatedAfter('createRootDisk', 'disks');
  const other = `gone-${randomUUID().slice(0, 8)}`;
  const { operationId } = await host.create({ id, boot: 'disks' }, { host: other });
  const handle = host.client.workflow.getHandle(instanceWorkflowId(id));
  await reconcileUntilFreeDry(id);
  const [item, ...more] = saidOf(await reconcile(), id);
  assert.deepEqual(more, []);
  // The list of runs lags: the first one may be in it already, or not yet.
  assert.ok(item && ['Ended', 'Superseded'].includes(item.reason), item?.reason);
  assert.notEqual(item.claim?.operationId, operationId);
  await assertCleanSlate(host.paths, [id]);
  assert.equal((await handle.describe()).status.name, 'RUNNING');
  await handle.terminate('by a test');
});

test('orphaned partial folders are removed once they are old', async () => {
  const id = randomUUID();
  const doomed = join(host.paths.instances, `${id}.0a1b2c3d.everboot-tmp`);
  await mkdir(doomed);
  await writeFile(join(doomed, 'disk'), 'half of a disk');
  const young = await reconcile();
  assert.deepEqual(
    young.kept.filter(({ subject }) => subject === doomed).map(({ reason }) => reason),
    ['FreshFile'],
  );
  const then = new Date(Date.now() - 2 * 3_600_000);
  await utimes(doomed, then, then);
  const old = await reconcile();
  assert.deepEqual(
    old.removed.map(({ subject, reason }) => [subject, reason]),
    [[doomed, 'Orphaned']],
  );
  await assertCleanSlate(host.paths, [id]);
});
