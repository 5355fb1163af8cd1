import assert from 'node:assert/strict';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { digestOf, makeQcow2Image, makeRawImage, type TestImage } from '../fixtures/images.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';

const flavor = { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 0 };
const id = () => crypto.randomUUID();

/** Asserts that a create fails with a code, an exit status and a sentence, and leaves nothing. */
async function assertRefused(
  up: RunningEverboot,
  spec: Record<string, unknown>,
  expected: { readonly code: string; readonly exit: number; readonly says: RegExp },
): Promise<Record<string, any>> {
  const instanceId = id();
  const given = { id: instanceId, name: 'refused', flavor, boot: 'defined', ...spec };
  const { code, document } = await up.json(['create', '-f', '-'], given);
  assert.equal(document.error?.code, expected.code, JSON.stringify(document));
  assert.equal(code, expected.exit);
  assert.match(document.error.message, expected.says);
  assert.match(document.error.remedy, /\w.*\./, 'it says what to do');
  await assertCleanSlate(up.paths, [instanceId]);
  return document.error;
}

describe('bad images and specs', () => {
  let up: RunningEverboot;
  let image: TestImage;
  const imageOf = ({ path, digest }: TestImage) => ({ file: path, digest, format: 'qcow2' });
  before(async () => {
    up = await startEverboot({ command: 'up' });
    image = await makeQcow2Image(up.folder);
  });
  after(async () => {
    await up.stop();
  });

  test('an image that is not there', async () => {
    const gone = { ...imageOf(image), file: join(up.folder, 'gone.qcow2') };
    await assertRefused(up, { image: gone }, { code: 'ImageNotFound', exit: 1, says: /gone\.qcow2/ });
  });

  test('a wrong digest', async () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    const wrong = { ...imageOf(image), digest };
    await assertRefused(up, { image: wrong }, { code: 'ImageDigestMismatch', exit: 3, says: /0000/ });
  });

  test('a qcow2 with a backing file', async () => {
    const path = join(up.folder, 'backed.qcow2');
    const args = ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', '/etc/passwd', path, '10M'];
    await runProgram('qemu-img', args, { timeoutMs: 10_000 });
    const backed = imageOf({ path, digest: await digestOf(path) });
    await assertRefused(up, { image: backed }, { code: 'ImageUnacceptable', exit: 3, says: /backing file/ });
  });

  test('a truncated image', async () => {
    const path = join(up.folder, 'cut.qcow2');
    await writeFile(path, await readFile(image.path));
    await truncate(path, 300_000);
    const cut = imageOf({ path, digest: await digestOf(path) });
    await assertRefused(up, { image: cut }, { code: 'ImageUnacceptable', exit: 3, says: /beyond|outside|end/ });
  });

  test('a flavor too small', async () => {
    const large = await makeQcow2Image(up.folder, 'large.qcow2', 1500);
    await assertRefused(up, { image: imageOf(large) }, { code: 'FlavorDiskTooSmall', exit: 3, says: /1572864000/ });
  });

  test('a spec with ten mistakes', async () => {
    const spec = {
      id: 'UPPER',
      name: 'not a host name',
      host: '../x',
      flavor: { vcpus: 0, memoryMb: -1, rootGb: 1.5, ephemeralGb: 0, swapMb: 0 },
      image: { file: 'relative.img', digest: 'md5:1', format: 'exe' },
      colour: 'red',
      boot: 'maybe',
    };
    const error = await assertRefused(up, spec, { code: 'SpecInvalid', exit: 2, says: /mistakes/ });
    assert.ok(error.problems.length >= 10, error.problems.join('\n'));
  });

  test('a host that nobody polls for is reported within a minute', async () => {
    const started = Date.now();
    const expected = { code: 'HostUnreachable', exit: 5, says: /nowhere/ };
    await assertRefused(up, { host: 'nowhere', image: imageOf(image) }, expected);
    assert.ok(Date.now() - started < 60_000);
  });
});

test('Glance is down: its servers are named when the time is over', async () => {
  const toml = `[glance]\napi_servers = ["http://127.0.0.1:1"]\nnum_retries = 1\nimage_fetch_timeout = 3\n`;
  const up = await startEverboot({ command: 'up', toml });
  try {
    const expected = { code: 'GlanceConnectionFailed', exit: 1, says: /127\.0\.0\.1:1/ };
    await assertRefused(up, { image: { glance: id() } }, expected);
  } finally {
    await up.stop();
  }
});

test('libvirt is not running: reported before anything is made', async () => {
  const uri = 'qemu:///system?socket=/nonexistent/libvirt-sock';
  const toml = `[libvirt]\nconnection_uri = "${uri}"\nunavailable_timeout = 2\n`;
  const up = await startEverboot({ command: 'up', toml });
  try {
    const image = await makeQcow2Image(up.folder);
    const spec = { image: { file: image.path, digest: image.digest, format: 'qcow2' } };
    await assertRefused(up, spec, { code: 'LibvirtUnavailable', exit: 1, says: /libvirt/ });

    const { document } = await up.json(['create', '-f', '-'], { name: 'disks', flavor, boot: 'disks', ...spec });
    assert.equal(document.state, 'disks', 'disks alone are made without libvirt');
    assert.equal((await up.json(['delete', document.instanceId])).code, 0, 'and deleted without it');
    await assertCleanSlate(up.paths, []);
  } finally {
    await up.stop();
  }
});

test('a full disk: refused by the ledger, or when a program finds out', async (t) => {
  const folder = `/var/tmp/everboot-test-full-${id().slice(0, 8)}`;
  await runProgram('mkdir', [folder], { timeoutMs: 5000 });
  await runProgram('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'everboot-test', folder], { timeoutMs: 5000 });
  const images = await startImagesFolder();
  const environment = {
    EVERBOOT_HOST_INSTANCES_PATH: join(folder, 'instances'),
    EVERBOOT_HOST_FILE_IMAGE_ROOTS: images,
  };
  const up = await startEverboot({ command: 'up', environment });
  const onTmpfs = {
    ...up,
    paths: (await import('../../domain/host-paths.ts')).hostPaths(join(folder, 'instances'), '_base'),
  };
  try {
    await t.test('an image that is larger than the free space is not fetched', async () => {
      const raw = await makeRawImage(images, 'big.raw', 80 * 2 ** 20);
      const spec = { image: { file: raw.path, digest: raw.digest, format: 'raw' } };
      await assertRefused(onTmpfs, spec, { code: 'InsufficientSpace', exit: 1, says: /MiB/ });
    });
    await t.test('a conversion that runs out of space fails as such', async () => {
      const path = join(images, 'dense.qcow2');
      const raw = join(images, 'dense.raw');
      await writeFile(raw, Buffer.alloc(100 * 2 ** 20, 'everboot'));
      await runProgram('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', raw, path], {
        timeoutMs: 60_000,
      });
      const spec = { image: { file: path, digest: await digestOf(path), format: 'qcow2' } };
      await assertRefused(onTmpfs, spec, { code: 'InsufficientSpace', exit: 1, says: /space/ });
    });
  } finally {
    await up.stop();
    await runProgram('umount', [folder], { timeoutMs: 5000 });
    await runProgram('rm', ['-rf', '--', folder, images], { timeoutMs: 5000 });
  }
});

async function startImagesFolder(): Promise<string> {
  const { mkdtemp } = await import('node:fs/promises');
  return await mkdtemp('/var/tmp/everboot-test-images-');
}
