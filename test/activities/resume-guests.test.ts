import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Host } from '../../activities/context/host.ts';
import { lookAfterGuests, resumeGuests } from '../../activities/resume-guests.ts';
import type { Claim } from '../../domain/claim.ts';
import type { ResumeReport } from '../../domain/host-maintenance.ts';
import { withInstanceLock } from '../../hypervisor/instance/instance-lock.ts';
import { readInstanceRecord, writeInstanceRecord } from '../../hypervisor/instance/instance-record.ts';
import { closeLibvirt, defineDomain, domainState, removeDomain } from '../../hypervisor/libvirt/libvirt.ts';
import { takeInventory } from '../../hypervisor/reconcile/take-inventory.ts';
import { activityOfRunningOperation } from '../fixtures/activity-environment.ts';
import type { Describe } from '../fixtures/running-operation-client.ts';
import { hostThatMakes, recordedInstance } from './recorded-instance.ts';

/** A libvirt without machines, in this process. */
const uri = 'test:///default';
let folder: string;
let host: Host;
before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-resume-');
  host = await hostThatMakes(
    join(folder, 'host'),
    'qcow2',
    `connection_uri = "${uri}"\nresume_guests_state_on_host_boot = true`,
  );
  await writeFile(join(folder, 'boot-id'), 'second');
  await writeFile(host.paths.guests, JSON.stringify({ bootId: 'first', off: [] }));
  host = { ...host, bootIdFile: join(folder, 'boot-id') };
});
after(async () => {
  await closeLibvirt();
  await rm(folder, { recursive: true, force: true });
});

/** Ready instances that ran, and that libvirt has shut off since the start of the machine. */
async function guestsThatRan(count: number): Promise<readonly Claim[]> {
  return await Promise.all(
    Array.from({ length: count }, async () => {
      const { claim, directory } = await recordedInstance(host, { storage: null });
      const { instanceId } = claim;
      const record = await readInstanceRecord(host.paths, instanceId);
      assert.ok(record);
      const result = { instanceId, name: 'web-1', host: 'test', state: 'running', directory, disks: [] } as const;
      await writeInstanceRecord(directory, { ...record, state: 'ready', result: { ...result, domain: 'web-1' } });
      const xml = `<domain type='test'><name>${instanceId}</name><uuid>${instanceId}</uuid><memory>65536</memory>
        <metadata><everboot:instance xmlns:everboot='urn:everboot:instance:1'>
          <everboot:claim instance='${instanceId}' operation='${claim.operationId}'/>
        </everboot:instance></metadata><os><type>hvm</type></os>
        <devices><console type='file'><source path='${directory}/console.log'/></console></devices></domain>`;
      await defineDomain(uri, xml, claim);
      return claim;
    }),
  );
}

async function resume(describe: Describe, on = host): Promise<ResumeReport> {
  return (await activityOfRunningOperation(describe).run(() => resumeGuests(on))) as ResumeReport;
}

async function states(claims: readonly Claim[]): Promise<readonly unknown[]> {
  return await Promise.all(claims.map(({ instanceId }) => domainState(uri, instanceId)));
}

async function forget(claims: readonly Claim[]): Promise<void> {
  for (const claim of claims) {
    await removeDomain(uri, claim);
    await rm(join(host.paths.instances, claim.instanceId), { recursive: true });
  }
}

test('a guest that a deferred cleanup is about to remove is not started', async () => {
  const claims = await guestsThatRan(3);
  const [kept, own, deleted] = claims;
  assert.ok(kept && own && deleted);
  const pendingCleanups = [
    `cleanup/test/${own.instanceId}/${own.operationId}`,
    `cleanup/test/${deleted.instanceId}/deleted`,
  ];
  const { guests } = await resume(async (_runId, workflowId) =>
    pendingCleanups.includes(workflowId) ? { status: { name: 'RUNNING' } } : undefined,
  );
  assert.deepEqual(await states(claims), ['running', 'shut off', 'shut off']);
  const notes = guests.filter(({ outcome }) => outcome === 'left off').map(({ note }) => note);
  assert.deepEqual(notes, Array(2).fill('it was abandoned, and a deferred cleanup is removing it'));
  await forget(claims);
});

test('a guest that Temporal does not report on keeps no other from its start, and is asked for again', async () => {
  const claims = await guestsThatRan(6);
  const silent = claims[0]?.instanceId ?? '';
  const asked = resume(async (_runId, workflowId) => {
    if (workflowId.includes(silent)) throw new Error('no answer');
    return undefined;
  });
  await assert.rejects(asked, { code: 'TemporalUnreachable' });
  assert.deepEqual(await states(claims), ['shut off', ...Array(5).fill('running')]);
  const { started } = await resume(async () => undefined);
  assert.equal(started, 1);
  await forget(claims);
});

test('a guest whose start fails in any other way is left off with its reason', async () => {
  const claims = await guestsThatRan(6);
  const [odd] = claims;
  assert.ok(odd);
  const { guests, started } = await resume(async (_runId, workflowId) => {
    if (workflowId === `instance/${odd.instanceId}`) await removeDomain(uri, odd);
    return undefined;
  });
  assert.deepEqual([guests.length, started], [6, 5]);
  assert.match(guests[0]?.note ?? '', /is not started: there is none/);
  await forget(claims);
});

test('a guest that did not start does not count as shut off by somebody, nor after the next host reboot', async () => {
  const claims = await guestsThatRan(3);
  const [odd, wanted] = claims.map(({ instanceId }) => instanceId);
  assert.ok(odd !== undefined && wanted !== undefined);
  await writeFile(host.paths.guests, JSON.stringify({ bootId: 'first', off: [wanted] }));
  const [held, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  // Somebody else holds the lock: the same work may not ask for it once more.
  const other = withInstanceLock(host.paths, odd, { shared: true }, async () => {
    held.resolve();
    await released.promise;
  });
  await held.promise;
  const { guests } = await resume(async () => undefined);
  released.resolve();
  await other;
  assert.match(guests.find(({ instanceId }) => instanceId === odd)?.note ?? '', /something works on its files/);
  assert.deepEqual(await states(claims), ['shut off', 'shut off', 'running']);
  const place = { paths: host.paths, libvirt: host.configuration.libvirt, signal: AbortSignal.timeout(60_000) };
  const reconcile = async (): Promise<boolean> => await lookAfterGuests(host, await takeInventory(place));
  // However often it is seen like that before the machine goes down again.
  assert.deepEqual([await reconcile(), await reconcile()], [false, false]);
  const next = { ...host, bootIdFile: join(folder, 'next-boot-id') };
  await writeFile(next.bootIdFile, 'third');
  assert.equal(await lookAfterGuests(next, await takeInventory(place)), true);
  assert.equal((await resume(async () => undefined, next)).started, 1);
  assert.deepEqual(await states(claims), ['running', 'shut off', 'running']);
  await forget(claims);
});
