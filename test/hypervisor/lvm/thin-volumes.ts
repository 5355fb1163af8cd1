import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { volumeGroupOf } from '../../../domain/disk-source.ts';
import type { BaseImage } from '../../../domain/image.ts';
import { backendOf, removeOutsideDisks } from '../../../hypervisor/backends/backend-of.ts';
import { publishVolume } from '../../../hypervisor/backends/lvm-volume.ts';
import { devicePath, readVolumeGroup } from '../../../hypervisor/programs/lvm.ts';
import { convertIntoDevice } from '../../../hypervisor/programs/qemu-img.ts';
import { backendContract } from '../backends/contract.ts';
import { control, failsWith, holdsStale, makeBase, mebibyte, root } from './planned-disks.ts';
import { type LvmUnderTest, lvmSettings, makePool, staleText, startLvm } from './test-backend.ts';
import { makeVolumeGroup, run } from './volume-group.ts';

let base: BaseImage;
before(async () => {
  base = await makeBase();
});

backendContract('thin lvm', () => startLvm({ isThin: true }));

describe('thin volumes', () => {
  let lvm: LvmUnderTest;
  before(async () => {
    lvm = await startLvm({ isThin: true });
  });
  after(() => lvm.stop());

  const usedPercent = (name: string): number =>
    Number(run('lvm', ['lvs', '--noheadings', '-o', 'data_percent', `${lvm.group.name}/${name}`]));

  test('a thin disk takes of its pool what its image holds, and gives it back', async () => {
    const context = await lvm.newInstance();
    lvm.group.soil(staleText, 'pool');
    assert.ok(holdsStale(lvm.group.device));
    const disk = root(384);
    const made = await backendOf(disk, lvm.settings).makeRoot(disk, base, context, control);
    assert.equal(made.virtualSizeBytes, 384 * mebibyte, 'larger than the pool');
    assert.ok(!holdsStale(made.path));
    run('cmp', ['-n', String(base.virtualSizeBytes), made.path, base.path]);
    const before = usedPercent('pool');
    assert.ok(before > 1 && before < 2, `4 of 320 MiB, not ${before}%`);
    await removeOutsideDisks(lvm.settings, context.claim, control);
    assert.equal(usedPercent('pool'), 0);
  });

  test('a pool without room for an image, or that fills up in the middle, is InsufficientSpace and given back', async () => {
    const { context, settings } = await lvm.newInstanceWithoutRoom();
    // Compressed, an image takes hardly anything of its host.
    const path = join(lvm.folder, 'compressed.qcow2');
    run('sh', ['-c', 'yes | head -c 64M >"$1.raw"', 'sh', path]);
    run('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', `${path}.raw`, path]);
    const large: BaseImage = { cacheName: 'large', path, format: 'qcow2', virtualSizeBytes: 64 * mebibyte };
    const making = () => backendOf(root(64), settings).makeRoot(root(64), large, context, control);
    await assert.rejects(making(), failsWith('InsufficientSpace', /writes 64 MiB into the thin pool/));
    assert.deepEqual(await lvm.leftOf(context), []);
    const commands = { signal: control.signal, heldLocks: [] };
    const group = await readVolumeGroup(volumeGroupOf(settings), commands);
    const order = { diskName: 'disk', sizeBytes: 64 * mebibyte, contentBytes: 0 };
    const filling = publishVolume(order, group, settings, context, control, async (volume) => {
      await convertIntoDevice(
        {
          source: path,
          sourceFormat: 'qcow2',
          destination: devicePath(volume),
          virtualSizeBytes: 64 * mebibyte,
          isZero: true,
          heldLocks: [],
        },
        control,
      );
    });
    await assert.rejects(filling, failsWith('InsufficientSpace', /the thin pool \S+ is full/));
    assert.deepEqual(await lvm.leftOf(context), []);
  });

  test('a group without a thin pool, with two, or with one that does not zero its blocks is unsuitable', async () => {
    const other = makeVolumeGroup(256);
    const context = await lvm.newInstance();
    const settings = await lvmSettings(other.name, true);
    const making = () => backendOf(root(12), settings).makeRoot(root(12), base, context, control);
    await assert.rejects(making(), failsWith('HostUnsuitable', /no thin pool/));
    makePool(other.name, '32M');
    run('lvm', ['lvchange', '-qq', '--zero', 'n', `${other.name}/pool`]);
    await assert.rejects(making(), failsWith('HostUnsuitable', /does not zero its blocks/));
    run('lvm', ['lvchange', '-qq', '--zero', 'y', `${other.name}/pool`]);
    await making();
    await removeOutsideDisks(settings, context.claim, control);
    run('lvm', ['lvcreate', '-qq', '--yes', '--type', 'thin-pool', '-L', '32M', '-n', 'another', other.name]);
    await assert.rejects(making(), failsWith('HostUnsuitable', /several thin pools: another, pool/));
    assert.deepEqual(await lvm.leftOf(context), []);
    other.remove();
  });
});
