import assert from 'node:assert/strict';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { digestOf, makeRawImage } from '../fixtures/images.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';
import { serveSlowly } from '../fixtures/slow-image-server.ts';
import { until } from '../fixtures/until.ts';

const mebibyte = 2 ** 20;
let up: RunningEverboot;
before(async () => {
  up = await startEverboot({ command: 'up' });
});
after(async () => {
  await up.stop();
});

async function partBytes(): Promise<number> {
  const names = await readdir(up.paths.cache).catch(() => [] as string[]);
  const part = names.find((name) => name.endsWith('.part'));
  return part === undefined
    ? 0
    : await stat(join(up.paths.cache, part)).then(
        ({ size }) => size,
        () => 0,
      );
}

test('a worker killed with -9 in the middle of the download is followed by the same run continuing from the bytes on disk', async () => {
  const image = await makeRawImage(up.folder, 'slow.raw', 48 * mebibyte);
  const server = await serveSlowly(image.path, 4 * mebibyte);
  try {
    const spec = {
      name: 'killed',
      flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 0 },
      image: { url: server.url, digest: image.digest, format: 'raw' },
      boot: 'disks',
    };
    const started = await up.json(['create', '-f', '-', '--detach'], spec);
    const { instanceId } = started.document;
    await until('a download with something on disk', async () => (await partBytes()) > 24 * mebibyte, 50);
    await up.kill('SIGKILL');
    server.bytesPerSecond = 400 * mebibyte;
    // What a kill in another moment leaves: nobody continues with it, however young it is.
    const partialFiles = `${'a'.repeat(40)}.json.0a1b2c3d.everboot-tmp`;
    await writeFile(join(up.paths.scrubs, partialFiles), '{');
    await up.start();
    assert.ok(!(await readdir(up.paths.scrubs)).includes(partialFiles));

    await until('the instance', async () => {
      const { document } = await up.json(['show', instanceId]);
      assert.notEqual(document.phase, 'Failed', JSON.stringify(document));
      return document.phase === 'Ready';
    });
    assert.deepEqual(server.offsets.length, 2, 'one request before the kill, one after it');
    assert.ok((server.offsets[1] ?? 0) > 0, `the second request began at byte ${server.offsets[1]}`);
    await up.json(['delete', instanceId]);
    await assertCleanSlate(up.paths, [instanceId]);
  } finally {
    await server.close();
  }
});

test('ten builds of a cold image at once fetch and convert it once', async () => {
  const raw = await makeRawImage(up.folder, 'ten.raw', 32 * mebibyte);
  const path = join(up.folder, 'ten.qcow2');
  await runProgram('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw.path, path], { timeoutMs: 60_000 });
  const digest = await digestOf(path);
  const server = await serveSlowly(path, 24 * mebibyte);
  try {
    const builds = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        up.json(['create', '-f', '-'], {
          name: `ten-${index}`,
          flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 0 },
          image: { url: server.url, digest, format: 'qcow2' },
          boot: 'disks',
        }),
      ),
    );
    for (const { code, document } of builds) assert.equal(code, 0, JSON.stringify(document));
    assert.deepEqual(server.offsets, [0], 'the image was fetched once');
    const ids: string[] = builds.map(({ document }) => document.instanceId);
    const shown = await Promise.all(ids.map((id) => up.json(['show', id])));
    const steps: string[] = shown.flatMap(({ document }) => document.steps.map(({ step }: { step: string }) => step));
    for (const step of ['downloadImage', 'verifyImage', 'convertImage', 'publishBaseImage']) {
      assert.equal(steps.filter((name) => name === step).length, 1, `${step} ran once`);
    }
    await Promise.all(ids.map((id) => up.json(['delete', id])));
    await assertCleanSlate(up.paths, ids);
  } finally {
    await server.close();
  }
});
