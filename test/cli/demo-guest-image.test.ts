import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeGuestImage } from '../../cli/demo/guest-image.ts';
import { copyModules, modulesInOrder } from '../../cli/demo/guest-modules.ts';
import { isThere } from '../../hypervisor/files/small-file.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';

const folder = await mkdtemp('/var/tmp/everboot-test-guest-');
after(() => rm(folder, { recursive: true, force: true }));
const { signal } = new AbortController();
const guestRoot = join(process.env.EVERBOOT_STATE_DIR ?? '/var/lib/everboot', 'guest', 'root');

const dependencies = [
  'kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko',
  'kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko',
  'kernel/drivers/virtio/virtio_ring.ko:',
  'kernel/fs/nls/nls_iso8859-1.ko.xz:',
  '',
].join('\n');

test('modules are loaded after those that they need, each once', () => {
  const names = modulesInOrder(dependencies, ['virtio_blk', 'virtio', 'nls_iso8859_1']).map(({ name }) => name);
  assert.deepEqual(names, ['virtio_ring', 'virtio', 'virtio_blk', 'nls_iso8859_1']);
});

test('a module that is built into the kernel is left out', () => {
  assert.deepEqual(modulesInOrder(dependencies, ['ext4']), []);
});

test('modules are unpacked, however the distribution packs them', async () => {
  const modules = join(folder, 'modules');
  const target = join(folder, 'unpacked');
  await mkdir(modules);
  await mkdir(target);
  await writeFile(join(modules, 'isofs.ko'), 'a module');
  await runProgram('xz', [join(modules, 'isofs.ko')], { timeoutMs: 10_000 });
  await writeFile(join(modules, 'modules.dep'), 'isofs.ko.xz:\n');
  await copyModules(modules, target, signal);
  assert.deepEqual(await readdir(target), ['00-isofs.ko']);
  assert.equal((await stat(join(target, '00-isofs.ko'))).size, 'a module'.length);
});

test('a folder without a kernel is refused', async () => {
  await assert.rejects(makeGuestImage(folder, join(folder, 'images'), signal), { code: 'HostUnsuitable' });
});

test('the image is small, partitioned, and made once', async (t) => {
  if (!(await isThere(guestRoot))) return t.skip(`there are no parts for a guest in ${guestRoot}`);
  const images = join(folder, 'images');
  const image = await makeGuestImage(guestRoot, images, signal);
  assert.ok(image.isNew);
  assert.ok(image.sizeBytes < 100 * 2 ** 20);
  assert.match(image.digest, /^sha256:[0-9a-f]{64}$/);
  const raw = join(folder, 'raw');
  await runProgram('qemu-img', ['convert', '-O', 'raw', image.path, raw], { timeoutMs: 30_000 });
  const { stdout } = await runProgram('sfdisk', ['--json', raw], { timeoutMs: 10_000 });
  const { partitions } = JSON.parse(stdout).partitiontable;
  assert.deepEqual(
    partitions.map(({ type, bootable }: { type: string; bootable?: boolean }) => [type, bootable ?? false]),
    [
      ['6', true],
      ['83', false],
    ],
  );
  assert.deepEqual(await makeGuestImage(guestRoot, images, signal), { ...image, isNew: false });
  assert.equal((await readdir(images)).length, 1);
});
