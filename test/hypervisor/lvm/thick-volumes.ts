import assert from 'node:assert/strict';
import { rm, stat } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PlannedEphemeralDisk, PlannedRootDisk } from '../../../domain/disk-plan.ts';
import type { BaseImage } from '../../../domain/image.ts';
import { backendOf, removeOutsideDisks } from '../../../hypervisor/backends/backend-of.ts';
import type { BackendContext } from '../../../hypervisor/backends/disk-backend.ts';
import { staleFromTag } from '../../../hypervisor/backends/lvm-claim.ts';
import { countProcesses } from '../../fixtures/processes.ts';
import { backendContract } from '../backends/contract.ts';
import { control, failsWith, holdsStale, kept, makeBase, mebibyte, root, swap } from './planned-disks.ts';
import { type LvmUnderTest, staleText, startLvm } from './test-backend.ts';
import { run } from './volume-group.ts';

let base: BaseImage;
before(async () => {
  base = await makeBase();
});

backendContract('thick lvm', () => startLvm({ isThin: false }));

describe('thick volumes', () => {
  let lvm: LvmUnderTest;
  before(async () => {
    lvm = await startLvm({ isThin: false });
  });
  after(() => lvm.stop());

  const make = (context: BackendContext, disk: PlannedRootDisk, settings = lvm.settings, own = control) =>
    backendOf(disk, settings).makeRoot(disk, base, context, own);
  const remove = (context: BackendContext, settings = lvm.settings) =>
    removeOutsideDisks(settings, context.claim, control);

  test('no byte of a disk is what its extents held before', async () => {
    lvm.group.soil(staleText);
    assert.ok(holdsStale(lvm.group.device));
    const context = await lvm.newInstance();
    const made = await make(context, root(32));
    assert.equal(made.path, `/dev/${lvm.group.name}/${context.claim.instanceId}_disk`);
    assert.equal(made.virtualSizeBytes, 32 * mebibyte);
    assert.ok(!holdsStale(made.path));
    run('cmp', ['-n', String(base.virtualSizeBytes), made.path, base.path]);
    const zeros = `tail -c +${base.virtualSizeBytes + 1} "$1" | cmp -n ${32 * mebibyte - base.virtualSizeBytes} - /dev/zero`;
    run('sh', ['-c', zeros, 'sh', made.path]);
    const blank = await backendOf(swap, lvm.settings).makeBlank(swap, context, control);
    assert.ok(!holdsStale(blank.path));
    await remove(context);
  });

  test('sizes are whole extents, and an image without a size of its own is held by as many as it needs', async () => {
    const context = await lvm.newInstance();
    const made = await make(context, root(null));
    assert.equal(made.virtualSizeBytes, 12 * mebibyte);
    assert.deepEqual(await make(context, root(null)), made);
    await remove(context);
  });

  test('the part by which a disk grows reads as zeros, even after a kill between the two', async () => {
    lvm.group.soil(staleText);
    const context = await lvm.newInstance();
    const { path } = await make(context, root(12));
    const larger = await make(context, root(20));
    assert.equal(larger.virtualSizeBytes, 20 * mebibyte);
    assert.ok(!holdsStale(path));
    // What a worker leaves that is killed after the volume grew.
    const volume = `${lvm.group.name}/${context.claim.instanceId}_disk`;
    run('lvm', ['lvchange', '-qq', '--addtag', staleFromTag(20 * mebibyte), volume]);
    run('lvm', ['lvextend', '-qq', '-L', '24M', volume]);
    assert.ok(holdsStale(path, 20 * mebibyte));
    assert.equal((await make(context, root(24))).virtualSizeBytes, 24 * mebibyte);
    assert.ok(!holdsStale(path));
    run('cmp', ['-n', String(base.virtualSizeBytes), path, base.path]);
    assert.ok(!lvm.group.volumes().some(({ tags }) => tags.includes('stale')));
    await remove(context);
  });

  test('a volume of another is neither taken nor removed', async () => {
    const context = await lvm.newInstance();
    const name = `${context.claim.instanceId}_disk`;
    run('lvm', ['lvcreate', '-qq', '--yes', '-L', '12M', '-n', name, lvm.group.name]);
    await assert.rejects(make(context, root(12)), failsWith('NotManaged', /claim/));
    await remove(context);
    assert.deepEqual(
      lvm.group.volumes().map((each) => each.name),
      [name],
    );
    run('lvm', ['lvremove', '-qq', '--yes', `${lvm.group.name}/${name}`]);
  });

  test('a swap of another size is neither taken nor overwritten', async () => {
    const context = await lvm.newInstance();
    await backendOf(swap, lvm.settings).makeBlank(swap, context, control);
    const larger = { ...swap, sizeBytes: 32 * mebibyte };
    const making = backendOf(swap, lvm.settings).makeBlank(larger, context, control);
    await assert.rejects(making, failsWith('InstanceExists', /expected 33554432/));
    await remove(context);
  });

  test('every program that makes file systems makes one in a volume', async (t) => {
    for (const fileSystem of ['ext4', 'xfs', 'vfat', 'ntfs']) {
      await t.test(fileSystem, async () => {
        const context = await lvm.newInstance();
        const sizeBytes = (fileSystem === 'xfs' ? 320 : 64) * mebibyte;
        const shape = { kind: 'ephemeral', name: 'disk.local', fileSystem, label: 'ephemeral0', sizeBytes } as const;
        const disk: PlannedEphemeralDisk = { ...shape, ...kept };
        const { path } = await backendOf(disk, lvm.settings).makeBlank(disk, context, control);
        assert.match(run('blkid', ['-p', path]), new RegExp(` LABEL="ephemeral0".* TYPE="${fileSystem}"`, 'i'));
        await remove(context, { ...lvm.settings, volumeClear: 'none' });
      });
    }
  });

  test('a volume that is not active, as after a restart of the host, gets its device again', async () => {
    const context = await lvm.newInstance();
    const made = await make(context, root(12));
    run('lvm', ['lvchange', '-qq', '-an', `${lvm.group.name}/${context.claim.instanceId}_disk`]);
    await assert.rejects(stat(made.path));
    assert.deepEqual(await make(context, root(12)), made);
    assert.ok((await stat(made.path)).isBlockDevice());
    await remove(context);
  });

  test('an image that cannot be read is refused, and its volume is gone', async () => {
    const context = await lvm.newInstance();
    const broken: BaseImage = { ...base, format: 'qcow2' };
    const making = backendOf(root(16), lvm.settings).makeRoot(root(16), broken, context, control);
    await assert.rejects(making, failsWith('ImageUnacceptable'));
    assert.deepEqual(lvm.group.volumes(), []);
  });

  test('without udev, as in a container, lvm2 makes the devices itself, and again where they are gone', async (t) => {
    if (process.env.EVERBOOT_TEST_GUEST === undefined) {
      t.skip('this machine’s udev is not ended');
      return;
    }
    run('udevadm', ['control', '--exit']);
    while ((await countProcesses('/usr/lib/systemd/systemd-udevd')) > 0) await sleep(100);
    await rm('/run/udev', { recursive: true });
    const context = await lvm.newInstance();
    const made = await make(context, root(12));
    assert.ok((await stat(made.path)).isBlockDevice());
    await rm(made.path);
    assert.deepEqual(await make(context, root(12)), made);
    assert.ok((await stat(made.path)).isBlockDevice());
    await remove(context);
    assert.deepEqual(lvm.group.volumes(), []);
  });
});
