import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { makeRootFileSystem } from '../../../hypervisor/root-file-system/make-root-file-system.ts';
import { makeGuestImage } from '../../fixtures/guest-images.ts';
import { guestfishUsers } from '../../fixtures/processes.ts';

const skip = process.getuid?.() === 0 ? false : 'only root gives files to others';
const plenty = 64 * 2 ** 20;

let folder: string;
before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-root-');
});
after(() => rm(folder, { recursive: true, force: true }));

/** Makes a root from an image in an instance's directory of its own. */
async function makeFrom(
  path: string,
  directory: string,
  { bytes = plenty, signal = AbortSignal.timeout(240_000) } = {},
) {
  const control = { signal, onProgress: () => undefined, heldLocks: [], forceTcg: true };
  const root = { disk: { path, format: 'raw' as const }, bytes };
  return await makeRootFileSystem(join(directory, 'rootfs'), root, control);
}

async function newDirectory(name: string): Promise<string> {
  const directory = join(folder, name);
  await mkdir(directory, { mode: 0o711 });
  return directory;
}

test('an image without a file system is refused, and nothing is left of it', { skip }, async () => {
  const image = join(folder, 'empty.raw');
  await runProgram('truncate', ['-s', '16M', image], { timeoutMs: 120_000 });
  const directory = await newDirectory('of-nothing');
  await assert.rejects(makeFrom(image, directory), { code: 'ImageUnacceptable' });
  assert.deepEqual(await readdir(directory), []);
});

test('a sparse file that is larger than its image is refused before it fills the disk', { skip }, async () => {
  const image = await makeGuestImage(join(folder, 'sparse.raw'), {
    arrange: (tree) =>
      runProgram('truncate', ['-s', '1T', join(tree, 'large')], { timeoutMs: 120_000 }).then(() => undefined),
  });
  const directory = await newDirectory('of-sparse');
  await assert.rejects(makeFrom(image, directory), { code: 'ImageUnacceptable', message: /more than 67108864 bytes/ });
  assert.deepEqual(await readdir(directory), []);
});

test('an appliance that the host kills while it packs says nothing of the image', { skip }, async () => {
  const image = await makeGuestImage(join(folder, 'large.raw'), {
    mebibytes: 600,
    arrange: (tree) =>
      runProgram('dd', ['if=/dev/zero', `of=${join(tree, 'large')}`, 'bs=1M', 'count=500'], {
        timeoutMs: 60_000,
      }).then(() => undefined),
  });
  const directory = await newDirectory('of-killed');
  const killed = assert.rejects(makeFrom(image, directory, { bytes: 600 * 2 ** 20 }), { code: 'HostIoError' });
  while (!(await readdir(directory, { recursive: true })).some((name) => name.endsWith('/large'))) await sleep(20);
  for (const pid of await guestfishUsers(image)) {
    const parent = /^PPid:\s+(\d+)$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
    process.kill(Number(parent), 'SIGKILL');
  }
  await killed;
  assert.deepEqual(await readdir(directory), []);
  await rm(image);
});

test('what is ended in the middle leaves nothing, is made again, and then left as it is', { skip }, async () => {
  const image = await makeGuestImage(join(folder, 'guest.raw'));
  const directory = await newDirectory('of-guest');
  const stop = new AbortController();
  const ended = assert.rejects(makeFrom(image, directory, { signal: stop.signal }), /stopped/);
  await sleep(3000);
  stop.abort(new Error('stopped'));
  await ended;
  assert.deepEqual(await readdir(directory), []);

  await makeFrom(image, directory);
  assert.deepEqual(await readdir(directory), ['rootfs']);
  assert.ok((await readdir(join(directory, 'rootfs'))).includes('etc'));
  assert.equal((await stat(directory)).mode & 0o777, 0o700);
  await makeFrom('/nonexistent', directory);
});
