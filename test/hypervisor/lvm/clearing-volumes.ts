import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PlannedRootDisk } from '../../../domain/disk-plan.ts';
import type { BaseImage } from '../../../domain/image.ts';
import type { StepProgress } from '../../../domain/step-progress.ts';
import { backendOf, removeOutsideDisks } from '../../../hypervisor/backends/backend-of.ts';
import type { BackendContext } from '../../../hypervisor/backends/disk-backend.ts';
import { countProcesses } from '../../fixtures/processes.ts';
import { control, failsWith, makeBase, mebibyte, root, swap } from './planned-disks.ts';
import { type LvmUnderTest, lvmSettings, startLvm } from './test-backend.ts';
import { run } from './volume-group.ts';

let base: BaseImage;
before(async () => {
  base = await makeBase();
});

describe('clearing volumes', () => {
  let lvm: LvmUnderTest;
  before(async () => {
    lvm = await startLvm({ isThin: false });
  });
  after(() => lvm.stop());

  const make = (context: BackendContext, disk: PlannedRootDisk, settings = lvm.settings, own = control) =>
    backendOf(disk, settings).makeRoot(disk, base, context, own);
  const remove = (context: BackendContext, settings = lvm.settings) =>
    removeOutsideDisks(settings, context.claim, control);

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
      // Its extents are the first of the disk.
      const count = 'head -c 32M "$1" | LC_ALL=C grep -c -a -F "$2" || true';
      const found = marks.map(({ text }) => Number(run('sh', ['-c', count, 'sh', lvm.group.device, text])));
      assert.deepEqual(
        found.map((lines) => lines > 0),
        isLeft,
        toml,
      );
    }
  });

  test('making and clearing report their progress', async () => {
    const reports: StepProgress[] = [];
    const own = { ...control, onProgress: (report: StepProgress) => void reports.push(report) };
    const context = await lvm.newInstance();
    await make(context, root(32), lvm.settings, own);
    assert.equal(reports.at(-1)?.doneBytes, base.virtualSizeBytes);
    reports.length = 0;
    await removeOutsideDisks(lvm.settings, context.claim, own);
    assert.deepEqual(reports.at(-1), { doneBytes: 32 * mebibyte, totalBytes: 32 * mebibyte });
  });

  test('a clearing that was killed is started again, and no extent goes back before', async () => {
    const context = await lvm.newInstance();
    await make(context, root(128));
    const url = new URL('../../../hypervisor/backends/backend-of.ts', import.meta.url).href;
    // It ends itself as soon as it hears of the first pass, so that the clearing is always in its middle.
    const script = `
      import { removeOutsideDisks } from ${JSON.stringify(url)};
      const [settings, claim] = JSON.parse(process.argv[1]);
      const onProgress = () => process.kill(process.pid, 'SIGKILL');
      await removeOutsideDisks(settings, claim, { signal: new AbortController().signal, onProgress });`;
    const settings = { ...lvm.settings, volumeClear: 'shred' };
    const input = JSON.stringify([settings, context.claim]);
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, input], { stdio: 'inherit' });
    assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL']);
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

  test('a disk of which somebody took a snapshot stays, and so does the snapshot', async () => {
    const context = await lvm.newInstance();
    await make(context, root(12));
    const disk = `${lvm.group.name}/${context.claim.instanceId}_disk`;
    run('lvm', ['lvcreate', '-qq', '--yes', '-s', '-L', '8M', '-n', 'kept', disk]);
    await assert.rejects(remove(context), failsWith('HostIoError', /has the snapshot kept/));
    assert.equal(lvm.group.volumes().length, 2);
    run('lvm', ['lvremove', '-qq', '--yes', `${lvm.group.name}/kept`]);
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
});
