import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Host } from '../../activities/context/host.ts';
import { reconcileHost } from '../../activities/reconcile-host.ts';
import { removeOrphans } from '../../activities/remove-orphans.ts';
import type { Claim } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { ReconcileReport } from '../../domain/host-maintenance.ts';
import { listFolder } from '../../hypervisor/files/small-file.ts';
import { addClaim, claimedBy } from '../../hypervisor/image-store/claims.ts';
import { readInstanceRecord, writeInstanceRecord } from '../../hypervisor/instance/instance-record.ts';
import { closeLibvirt } from '../../hypervisor/libvirt/libvirt.ts';
import { activityOfRunningOperation } from '../fixtures/activity-environment.ts';
import type { Described } from '../fixtures/running-operation-client.ts';
import { hostThatMakes, recordedInstance } from './recorded-instance.ts';

let folder: string;
/** It has no libvirt. */
let host: Host;
before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-cleanup-');
  const nowhere = `qemu:///system?socket=${folder}/no-libvirt`;
  host = await hostThatMakes(join(folder, 'host'), 'qcow2', `connection_uri = "${nowhere}"`);
});
after(async () => {
  await closeLibvirt();
  await rm(folder, { recursive: true, force: true });
});

/** An instance of disks alone with a claim on a cached file. */
async function disksAlone(): Promise<{ readonly claim: Claim; readonly directory: string }> {
  const made = await recordedInstance(host, { storage: null });
  const record = await readInstanceRecord(host.paths, made.claim.instanceId);
  assert.ok(record);
  await writeInstanceRecord(made.directory, { ...record, domain: false });
  await addClaim(host.paths, 'a'.repeat(40), made.claim);
  return made;
}

async function leftOf({ instanceId }: Claim): Promise<string[]> {
  const claims = (await claimedBy(host.paths, instanceId)).map(({ claim }) => claim.operationId);
  return [...(await listFolder(host.paths.instances)).filter((name) => name.startsWith(instanceId)), ...claims];
}

function step<Made>(work: () => Promise<Made>, described: Described): Promise<Made> {
  const environment = activityOfRunningOperation(async () => described);
  return environment.run(work) as Promise<Made>;
}

const failed = { status: { name: 'FAILED' } };
const isBusy = (error: unknown) => error instanceof EverbootFailure && error.code === 'InstanceBusy';
const needsLibvirt = (error: unknown) => error instanceof EverbootFailure && error.code === 'LibvirtUnavailable';

test('orphans without a domain are removed from a host without libvirt, by the order or by the record', async () => {
  for (const withDomain of [true, false]) {
    const { claim, directory } = await disksAlone();
    const record = await readInstanceRecord(host.paths, claim.instanceId);
    assert.ok(record);
    const { domain: _, ...earlier } = record;
    if (!withDomain) await writeInstanceRecord(directory, earlier);
    await step(() => removeOrphans(host, { ...claim, withDomain }), failed);
    assert.deepEqual(await leftOf(claim), []);
  }
  const { claim } = await recordedInstance(host, { storage: null });
  await assert.rejects(
    step(() => removeOrphans(host, claim), failed),
    needsLibvirt,
  );
});

test('a reconciliation removes an instance of disks alone from a host without libvirt', async () => {
  const { claim } = await disksAlone();
  const memo = { operationId: claim.operationId };
  const reconciliation = () => reconcileHost({ ...host, reconcileGraceMs: 0 }, { dryRun: false });
  const { removed } = (await step(reconciliation, { ...failed, memo })) as ReconcileReport;
  assert.deepEqual(
    removed.filter((item) => item.claim?.instanceId === claim.instanceId).map(({ reason }) => reason),
    ['Ended'],
  );
  assert.deepEqual(await leftOf(claim), []);
});

test('nothing is removed while the operation runs again, or something runs that does not say what', async () => {
  const { claim } = await disksAlone();
  const running = { status: { name: 'RUNNING' } };
  const before = await leftOf(claim);
  for (const operationId of [claim.operationId, null]) {
    const order = { instanceId: claim.instanceId, operationId };
    await assert.rejects(
      step(() => removeOrphans(host, order), running),
      isBusy,
    );
  }
  const again = { ...running, memo: { operationId: claim.operationId } };
  await assert.rejects(
    step(() => removeOrphans(host, claim), again),
    isBusy,
  );
  assert.deepEqual(await leftOf(claim), before);
});

test('an abandoned deletion waits where the record is damaged', async () => {
  const { claim, directory } = await disksAlone();
  await writeFile(join(directory, 'everboot.json'), '{"version":2}');
  const order = { instanceId: claim.instanceId, operationId: null };
  await assert.rejects(
    step(() => removeOrphans(host, order), failed),
    /damaged, or of a later release/,
  );
  assert.equal((await leftOf(claim)).length, 2);
});
