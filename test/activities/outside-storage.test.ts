import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Host } from '../../activities/context/host.ts';
import { deleteFiles } from '../../activities/delete-instance.ts';
import { releaseInstance } from '../../activities/release-instance.ts';
import { plannedStorage, settingsOfInstance } from '../../domain/outside-storage.ts';
import { activityOfRunningOperation } from '../fixtures/activity-environment.ts';
import { failsWith, root } from '../hypervisor/lvm/planned-disks.ts';
import { hostThatMakes, recordedInstance } from './recorded-instance.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-storage-');
});
after(() => rm(folder, { recursive: true, force: true }));

/** Runs both ways of removing an instance, one after the other. */
async function remove(host: Host, claim: { readonly instanceId: string; readonly operationId: string }): Promise<void> {
  await activityOfRunningOperation().run(() => releaseInstance(host, { claim }));
  await activityOfRunningOperation().run(() => deleteFiles(host, { instanceId: claim.instanceId }));
}

test('an instance of files is removed whatever storage of other disks the host has lost', async () => {
  const orphaned = `images_rbd_pool = "vms"\nimages_rbd_ceph_conf = "${folder}/absent.conf"\nimages_volume_group = "everboot-nowhere"`;
  const host = await hostThatMakes(join(folder, 'files'), 'qcow2', orphaned);
  const { claim, directory } = await recordedInstance(host, { storage: null });
  await remove(host, claim);
  await assert.rejects(stat(directory), { code: 'ENOENT' });
  // Nor does one whose operation ended before it had a record.
  await remove(host, { instanceId: crypto.randomUUID(), operationId: crypto.randomUUID() });
});

test('an instance stays while the storage that its record names is away', async () => {
  const host = await hostThatMakes(join(folder, 'away'), 'qcow2', `images_rbd_ceph_conf = "${folder}/absent.conf"`);
  for (const [storage, words] of [
    [{ kind: 'lvm', volumeGroup: 'everboot-nowhere' }, /in the volume group everboot-nowhere, which cannot be reached/],
    [{ kind: 'rbd', pool: 'vms' }, /in the Ceph pool vms, which cannot be reached/],
  ] as const) {
    const { claim, directory } = await recordedInstance(host, { storage });
    await assert.rejects(remove(host, claim), failsWith('StorageUnavailable', words));
    assert.ok((await stat(`${directory}/everboot.json`)).isFile());
  }
});

test('a record names where the plan’s disks will be, and the settings of an instance follow it', async () => {
  const { configuration } = await hostThatMakes(join(folder, 'lvm'), 'lvm', 'images_volume_group = "first"');
  const { libvirt } = configuration;
  const plan = { root: root(12), ephemerals: [], swap: null };
  const storage = plannedStorage(plan, libvirt);
  assert.deepEqual(storage, { kind: 'lvm', volumeGroup: 'first' });
  assert.equal(plannedStorage({ ...plan, root: null }, libvirt), null);
  const changed = { ...libvirt, imagesVolumeGroup: 'second', imagesRbdPool: 'vms' };
  const groupAndPool = (record: Parameters<typeof settingsOfInstance>[1]) => {
    const { imagesVolumeGroup, imagesRbdPool } = settingsOfInstance(changed, record);
    return [imagesVolumeGroup, imagesRbdPool];
  };
  assert.deepEqual(groupAndPool({ storage }), ['first', null]);
  assert.deepEqual(groupAndPool({ storage: { kind: 'rbd', pool: 'old' } }), [null, 'old']);
  assert.deepEqual(groupAndPool({ storage: null }), [null, null]);
  assert.deepEqual(groupAndPool({}), ['second', null], 'a record of an earlier release');
  assert.deepEqual(groupAndPool(undefined), ['second', null]);
});
