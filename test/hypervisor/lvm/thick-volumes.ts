import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PlannedEphemeralDisk, PlannedRootDisk } from '../../../domain/disk-plan.ts';
import type { BaseImage } from '../../../domain/image.ts';
import type { StepProgress } from '../../../domain/step-progress.ts';
import { backendOf, removeOutsideDisks } from '../../../hypervisor/backends/backend-of.ts';
import type { BackendContext } from '../../../hypervisor/backends/disk-backend.ts';
import { staleFromTag } from '../../../hypervisor/backends/lvm-claim.ts';
import { countProcesses } from '../../fixtures/processes.ts';
import { backendContract } from '../backends/contract.ts';
import { control, failsWith, holdsStale, kept, makeBase, mebibyte, root, swap } from './planned-disks.ts';
import { type LvmUnderTest, lvmSettings, staleText, startLvm } from './test-backend.ts';
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
    await assert.rejects(make(context, root(12)), failsWith('InstanceExists', /claim/));
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

  test('a disk is cleared as the host is set to before its extents go back', async () => {
    for (const [toml, isLeft] of [
      ['volume_clear = "zero"', [false, false]],
      ['volume_clear = "shred"', [false, false]],
      ['volume_clear = "zero"\nvolume_clear_size = 1', [false, true]],
      ['volume_clear = "shred"\nvolume_clear_size = 1', [false, true]],
      ['volume_clear = "none"', [true, true]],
    ] as const) {
      const settings = await lvmSettings(lvm.group.name, false, toml);
      const context = await lvm.newInstance();
      const { path } = await make(context, root(12), settings);
      const marks = [0, 2].map((mebibytes) => ({ text: `tenant ${randomUUID()}`, mebibytes }));
      for (const { text, mebibytes } of marks) {
        const place = ['bs=1M', `seek=${mebibytes}`, 'conv=notrunc,fsync', 'status=none'];
        execFileSync('dd', [`of=${path}`, ...place], { input: text });
      }
      await remove(context, settings);
      assert.deepEqual(await lvm.leftOf(context), []);
      run('blockdev', ['--flushbufs', lvm.group.device]);
      const found = marks.map(({ text }) => {
        return execFileSync('sh', ['-c', 'grep -c -a -F "$2" "$1" || true', 'sh', lvm.group.device, text], {
          encoding: 'utf8',
        });
      });
      assert.deepEqual(
        found.map((count) => Number(count) > 0),
        isLeft,
        toml,
      );
    }
  });

  test('making and clearing tell how far they are', async () => {
    const reports: StepProgress[] = [];
    const own = { ...control, onProgress: (report: StepProgress) => void reports.push(report) };
    const context = await lvm.newInstance();
    await make(context, root(32), lvm.settings, own);
    assert.equal(reports.at(-1)?.doneBytes, base.virtualSizeBytes);
    reports.length = 0;
    await removeOutsideDisks(lvm.settings, context.claim, own);
    assert.deepEqual(reports.at(-1), { doneBytes: 32 * mebibyte, totalBytes: 32 * mebibyte });
  });

  test('a clearing that was killed is begun again, and no extent goes back before', async () => {
    const context = await lvm.newInstance();
    await make(context, root(128));
    const url = new URL('../../../hypervisor/backends/backend-of.ts', import.meta.url).href;
    const script = `
      import { removeOutsideDisks } from ${JSON.stringify(url)};
      const [settings, claim] = JSON.parse(process.argv[1]);
      await removeOutsideDisks(settings, claim, { signal: new AbortController().signal, onProgress: () => undefined });`;
    const settings = { ...lvm.settings, volumeClear: 'shred' };
    const input = JSON.stringify([settings, context.claim]);
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, input], { stdio: 'inherit' });
    while ((await countProcesses('shred')) === 0 && child.exitCode === null) await sleep(20);
    child.kill('SIGKILL');
    await once(child, 'exit');
    while ((await countProcesses('shred')) > 0) await sleep(20);
    const [left, ...others] = lvm.group.volumes();
    assert.deepEqual(others, []);
    assert.match(left?.name ?? '', /_disk\.[0-9a-f]{8}\.everboot-tmp$/, 'nobody takes it for a whole disk');
    await remove(context);
    assert.deepEqual(lvm.group.volumes(), []);
  });

  test('a disk that somebody has open is the host’s failure for now, and the others are removed', async () => {
    const context = await lvm.newInstance();
    const { path } = await make(context, root(12));
    await backendOf(swap, lvm.settings).makeBlank(swap, context, control);
    const descriptor = openSync(path, 'r');
    await assert.rejects(remove(context), failsWith('HostIoError', /in use/));
    assert.equal(lvm.group.volumes().length, 1);
    closeSync(descriptor);
    await remove(context);
    assert.deepEqual(lvm.group.volumes(), []);
  });

  test('a cancelled step ends at once, and undo removes what it left', async () => {
    // Cleared to its end, and in the middle of the image.
    for (const totalBytes of [54 * mebibyte, base.virtualSizeBytes]) {
      const context = await lvm.newInstance();
      const stop = new AbortController();
      const onProgress = (report: StepProgress): void => {
        if (report.totalBytes === totalBytes) stop.abort(new Error('cancelled by the test'));
      };
      const making = make(context, root(64), lvm.settings, { signal: stop.signal, onProgress });
      await assert.rejects(making, /cancelled by the test/);
      const [left, ...others] = await lvm.leftOf(context);
      assert.match(left ?? '', /^disk\.[0-9a-f]{8}\.everboot-tmp$/);
      assert.deepEqual(others, []);
      await remove(context);
      assert.deepEqual(await lvm.leftOf(context), []);
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
    const path = join(lvm.folder, 'broken.qcow2');
    run('qemu-img', ['create', '-q', '-f', 'qcow2', path, '16M']);
    const bytes = await readFile(path);
    bytes.writeBigUInt64BE(2n ** 40n, 40);
    await writeFile(path, bytes);
    const broken: BaseImage = { cacheName: 'broken', path, format: 'qcow2', virtualSizeBytes: 16 * mebibyte };
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
