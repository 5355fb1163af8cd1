import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { deleteFiles } from '../../../activities/delete-instance.ts';
import { claimName } from '../../../domain/claim.ts';
import { EverbootFailure } from '../../../domain/failures.ts';
import { claimTags, clearedToTag, instanceTag, isOwnedBy } from '../../../hypervisor/backends/lvm-claim.ts';
import { zeroVolume } from '../../../hypervisor/backends/lvm-remove.ts';
import { ifInstanceIsFree } from '../../../hypervisor/instance/instance-lock.ts';
import { closeLibvirt } from '../../../hypervisor/libvirt/libvirt.ts';
import {
  addVolumeTag,
  createVolume,
  devicePath,
  extendVolume,
  readVolumeGroup,
  removeVolume,
  removeVolumeTag,
  renameVolume,
  volumesWithTag,
} from '../../../hypervisor/programs/lvm.ts';
import { isOnThisHost } from '../../../hypervisor/reconcile/inventory.ts';
import { removeOrphan } from '../../../hypervisor/reconcile/remove-orphan.ts';
import { takeInventory } from '../../../hypervisor/reconcile/take-inventory.ts';
import { hostThatMakes, recordedInstance } from '../../activities/recorded-instance.ts';
import { activityOfRunningOperation } from '../../fixtures/activity-environment.ts';
import { makeVolumeGroup, run, type TestVolumeGroup } from './volume-group.ts';

const mebibyte = 2 ** 20;
const commands = { signal: new AbortController().signal, heldLocks: [] };
const claim = { instanceId: randomUUID(), operationId: randomUUID() };

let vg: TestVolumeGroup;
before(() => {
  vg = makeVolumeGroup(512);
});
after(() => vg.remove());

function volume(name: string, mebibytes: number) {
  const sizeBytes = mebibytes * mebibyte;
  return { volumeGroup: vg.name, name, sizeBytes, tags: claimTags(claim), thinPool: null };
}

function failsWith(code: string, words: RegExp) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code && words.test(error.message);
}

test('a volume is made with its tags, found by them, renamed with them, and removed', async () => {
  const name = `${claim.instanceId}_disk.0123abcd.everboot-tmp`;
  await createVolume(volume(name, 30), commands);
  const group = await readVolumeGroup(vg.name, commands);
  assert.equal(group.extentBytes, 4 * mebibyte);
  assert.deepEqual(group.volumes, [volume(name, 32)], 'whole extents');
  assert.equal(group.freeBytes, (508 - 32) * mebibyte);

  await renameVolume(volume(name, 32), `${claim.instanceId}_disk`, commands);
  const found = await volumesWithTag(vg.name, instanceTag(claim.instanceId), commands);
  assert.deepEqual(found, [volume(`${claim.instanceId}_disk`, 32)]);
  assert.ok(found.every((each) => isOwnedBy(each, claim)));
  assert.ok(!found.some((each) => isOwnedBy(each, { ...claim, operationId: randomUUID() })));
  assert.deepEqual(await volumesWithTag(vg.name, instanceTag(randomUUID()), commands), []);

  await removeVolume(volume(`${claim.instanceId}_disk`, 32), commands);
  assert.deepEqual(vg.volumes(), []);
});

test('the disks of an instance are removed from where its record says, whatever the host makes now', async (t) => {
  const folder = await mkdtemp('/var/tmp/everboot-recorded-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const host = await hostThatMakes(join(folder, 'host'), 'qcow2', 'volume_clear = "none"');
  const instance = await recordedInstance(host, { storage: { kind: 'lvm', volumeGroup: vg.name } });
  const { instanceId } = instance.claim;
  const disk = { ...volume(`${instanceId}_disk`, 8), tags: claimTags(instance.claim) };
  await createVolume(disk, commands);
  await activityOfRunningOperation().run(() => deleteFiles(host, { instanceId }));
  assert.deepEqual(vg.volumes(), []);
  await assert.rejects(stat(instance.directory), { code: 'ENOENT' });
});

test('a volume that only carries an instance’s tags is not its disk', async (t) => {
  const folder = await mkdtemp('/var/tmp/everboot-recorded-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const host = await hostThatMakes(join(folder, 'host'), 'lvm', `images_volume_group = "${vg.name}"`);
  const instance = await recordedInstance(host, { storage: { kind: 'lvm', volumeGroup: vg.name } });
  const foreign = { ...volume('foreign', 8), tags: claimTags(instance.claim) };
  await createVolume(foreign, commands);
  await activityOfRunningOperation().run(() => deleteFiles(host, { instanceId: instance.claim.instanceId }));
  assert.deepEqual((await readVolumeGroup(vg.name, commands)).volumes, [foreign]);
  await removeVolume(foreign, commands);
});

test('a reconciliation finds volumes by their claims, and removes what one operation left and no other', async (t) => {
  const folder = await mkdtemp('/var/tmp/everboot-reconciled-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  t.after(closeLibvirt);
  const more = `images_volume_group = "${vg.name}"\nvolume_clear = "none"\nconnection_uri = "test:///default"`;
  const host = await hostThatMakes(join(folder, 'host'), 'lvm', more);
  const { claim: doomed, directory } = await recordedInstance(host, { storage: { kind: 'lvm', volumeGroup: vg.name } });
  const other = { instanceId: doomed.instanceId, operationId: randomUUID() };
  const nova = `${randomUUID()}_disk`;
  const kept = [
    { ...volume(`${doomed.instanceId}_disk.local`, 4), tags: claimTags(other) },
    { ...volume(nova, 4), tags: [] },
    { ...volume('root', 4), tags: claimTags(doomed) },
  ];
  const left = ['_disk', '_disk.swap.0123abcd.everboot-tmp'].map((name) => `${doomed.instanceId}${name}`);
  for (const name of left) await createVolume({ ...volume(name, 4), tags: claimTags(doomed) }, commands);
  for (const each of kept) await createVolume(each, commands);

  const place = { paths: host.paths, libvirt: host.configuration.libvirt, signal: commands.signal };
  const inventory = await takeInventory(place);
  assert.deepEqual(inventory.notes, []);
  const subject = `the logical volume ${vg.name}/${nova}`;
  const foreign = inventory.foreign.filter(({ subject: said }) => said.includes(vg.name));
  assert.deepEqual(foreign, [{ subject, reason: 'NoClaim' }]);
  const orphan = inventory.orphans.get(claimName(doomed));
  assert.ok(orphan !== undefined && isOnThisHost(orphan));
  assert.deepEqual(orphan.volumes, left.map((name) => `${vg.name}/${name}`).sort());
  const others = inventory.orphans.get(claimName(other));
  assert.ok(others !== undefined && !isOnThisHost(others), 'a volume alone may be another host’s');

  const record = inventory.records.get(doomed.instanceId);
  await ifInstanceIsFree(host.paths, doomed.instanceId, ({ descriptor }) =>
    removeOrphan(host, orphan, record, { signal: commands.signal, descriptor }),
  );
  await assert.rejects(stat(directory), { code: 'ENOENT' });
  assert.deepEqual(
    vg
      .volumes()
      .map(({ name }) => name)
      .sort(),
    kept.map(({ name }) => name).sort(),
  );
  for (const each of kept) await removeVolume(each, commands);
});

test('zeroing that was cut off continues where the volume’s tag says', async (t) => {
  const made = volume('doomed', 16);
  await createVolume(made, commands);
  // Without device mapper a loop device stands in for the volume's own.
  const file = join('/var/tmp', `${vg.name}.doomed`);
  run('sh', ['-c', 'yes tenant | head -c 16M >"$1" && mkdir -p "$2"', 'sh', file, `/dev/${vg.name}`]);
  const device = run('losetup', ['--find', '--show', file]).trim();
  t.after(async () => {
    await rm(`/dev/${vg.name}`, { recursive: true });
    run('losetup', ['--detach', device]);
    await rm(file);
    await removeVolume(made, commands);
  });
  await symlink(device, devicePath(made));
  const tags = async () => (await readVolumeGroup(vg.name, commands)).volumes[0]?.tags ?? [];
  const steps = { lengthBytes: 16 * mebibyte, stepBytes: 4 * mebibyte };
  const stop = new AbortController();
  const onProgress = ({ doneBytes }: { readonly doneBytes: number }) => {
    if (doneBytes === 12 * mebibyte) stop.abort(new Error('cut off'));
  };
  await assert.rejects(
    zeroVolume(made, steps, { ...commands, signal: stop.signal }, { signal: stop.signal, onProgress }),
  );
  assert.deepEqual(await tags(), [clearedToTag(8 * mebibyte), ...made.tags].sort());
  run('sh', ['-c', 'printf again | dd of="$1" conv=notrunc,fsync status=none', 'sh', device]);
  const [left] = (await readVolumeGroup(vg.name, commands)).volumes;
  assert.ok(left !== undefined);
  await zeroVolume(left, steps, commands, { ...commands, onProgress: () => undefined });
  assert.deepEqual(await tags(), made.tags);
  assert.equal(run('head', ['-c', '5', device]), 'again', 'what was zeroed is not zeroed again');
  run('sh', ['-c', 'tail -c +6 "$1" | cmp -n 16777211 - /dev/zero', 'sh', device]);
});

test('a volume is made larger, and takes and loses a tag', async () => {
  const made = volume('grown', 32);
  await createVolume(made, commands);
  await addVolumeTag(made, 'everboot.stale-from.1', commands);
  await extendVolume(made, 50 * mebibyte, commands);
  const [grown] = (await readVolumeGroup(vg.name, commands)).volumes;
  assert.deepEqual([grown?.sizeBytes, grown?.tags.length], [52 * mebibyte, 3]);
  await removeVolumeTag(made, 'everboot.stale-from.1', commands);
  assert.deepEqual((await readVolumeGroup(vg.name, commands)).volumes[0]?.tags, claimTags(claim));
  await removeVolume(made, commands);
});

test('a volume of several segments is one volume', async () => {
  const volumes = [volume('around', 8), volume('between', 8)] as const;
  for (const each of volumes) await createVolume(each, commands);
  await extendVolume(volumes[0], 16 * mebibyte, commands);
  const segments = run('lvm', ['lvs', '--noheadings', '-o', 'seg_start', `${vg.name}/around`]);
  assert.equal(segments.trim().split('\n').length, 2);
  assert.deepEqual((await readVolumeGroup(vg.name, commands)).volumes, [volume('around', 16), volumes[1]]);
  for (const each of volumes) await removeVolume(each, commands);
});

test('a full volume group is InsufficientSpace', async () => {
  await assert.rejects(createVolume(volume('large', 1024), commands), failsWith('InsufficientSpace', /full/));
  const made = volume('small', 32);
  await createVolume(made, commands);
  await assert.rejects(extendVolume(made, 1024 * mebibyte, commands), failsWith('InsufficientSpace', /full/));
  await removeVolume(made, commands);
});

test('a volume group that is not there is named', async () => {
  const absent = failsWith('HostUnsuitable', /no volume group everboot-nowhere/);
  await assert.rejects(readVolumeGroup('everboot-nowhere', commands), absent);
  await assert.rejects(createVolume({ ...volume('x', 4), volumeGroup: 'everboot-nowhere' }, commands), absent);
});

test('a name that is taken is refused by lvm2 itself', async () => {
  const made = [volume('one', 4), volume('two', 4)] as const;
  for (const each of made) await createVolume(each, commands);
  await assert.rejects(createVolume(made[0], commands), failsWith('ProgramFailed', /already exists/));
  await assert.rejects(renameVolume(made[0], 'two', commands), failsWith('ProgramFailed', /already exists/));
  for (const each of made) await removeVolume(each, commands);
});

test('a volume that an earlier command has taken away meanwhile is looked for again', async () => {
  const gone = volume('gone', 4);
  for (const command of [
    () => removeVolume(gone, commands),
    () => renameVolume(gone, 'other', commands),
    () => extendVolume(gone, 8 * mebibyte, commands),
    () => addVolumeTag(gone, 'tag', commands),
  ]) {
    await assert.rejects(command(), failsWith('HostIoError', /gone/));
  }
});

test('a command that has started is not cut off with its step', async () => {
  const stop = new AbortController();
  const creating = createVolume(volume('started', 4), { ...commands, signal: stop.signal });
  stop.abort(new Error('cancelled'));
  await creating;
  assert.deepEqual(
    vg.volumes().map(({ name }) => name),
    ['started'],
  );
  await assert.rejects(createVolume(volume('late', 4), { ...commands, signal: stop.signal }), /cancelled/);
  await removeVolume(volume('started', 4), commands);
});
