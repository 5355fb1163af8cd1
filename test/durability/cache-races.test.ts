import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectClient, type EverbootClient } from '../../client/connect-client.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { digestOf, makeQcow2Image, makeRawImage } from '../fixtures/images.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';
import { serveSlowly } from '../fixtures/slow-image-server.ts';
import { startTemporalServer, type TestTemporalServer } from '../fixtures/temporal-server.ts';

const mebibyte = 2 ** 20;
const flavor = { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 0 };
/** Everything that nothing uses is old enough at once. */
const toml = '[image_cache]\nremove_unused_original_minimum_age_seconds = 0\n';

let server: TestTemporalServer;
/** Two worker processes of the same host, on the same folders. */
let up: RunningEverboot;
let other: RunningEverboot;
let client: EverbootClient;
let host: string;
before(async () => {
  server = await startTemporalServer();
  const environment = { TEMPORAL_ADDRESS: server.address, EVERBOOT_HOST_NAME: `races-${randomUUID().slice(0, 8)}` };
  up = await startEverboot({ command: 'worker', toml, environment });
  other = await startEverboot({ command: 'worker', toml, folder: up.folder, environment });
  client = await connectClient({ address: server.address, namespace: 'default' });
  host = environment.EVERBOOT_HOST_NAME;
});
after(async () => {
  await client.close();
  await other.stop();
  await up.stop();
  await server.stop();
});

async function createMany(count: number, image: object): Promise<PromiseSettledResult<{ instanceId: string }>[]> {
  const names = Array.from({ length: count }, (_, index) => `many-${index}`);
  return await Promise.allSettled(
    names.map(async (name) => {
      const { instanceId } = await client.createInstance({ name, flavor, image, boot: 'disks' }, { host: host });
      await client.wait(instanceId);
      return { instanceId };
    }),
  );
}

function made(outcomes: readonly PromiseSettledResult<{ instanceId: string }>[]): string[] {
  return outcomes.map((outcome) => {
    assert.ok(outcome.status === 'fulfilled', `a boot failed: ${String((outcome as PromiseRejectedResult).reason)}`);
    return outcome.value.instanceId;
  });
}

async function deleteAll(ids: readonly string[]): Promise<void> {
  await Promise.all(ids.map((id) => client.delete(id, { host: host })));
  await assertCleanSlate(up.paths, ids);
}

/** The steps of an operation that has ended; its workflow reports them, once a worker has the time to query it. */
async function stepsOf(id: string): Promise<string[]> {
  for (;;) {
    const { steps } = await client.show(id);
    if (steps.length > 0) return steps.map(({ step }) => step);
  }
}

test('fifty builds of one cold image, on two worker processes of a host, read its body once and convert it once', async () => {
  const raw = await makeRawImage(up.folder, 'fifty.raw', 16 * mebibyte);
  const path = join(up.folder, 'fifty.qcow2');
  await runProgram('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw.path, path], { timeoutMs: 60_000 });
  const source = await serveSlowly(path, 8 * mebibyte);
  try {
    const ids = made(await createMany(50, { url: source.url, digest: await digestOf(path), format: 'qcow2' }));
    assert.deepEqual(source.offsets, [0], 'the body was read once');
    assert.equal(source.sentBytes, (await stat(path)).size);
    const steps: string[] = [];
    for (const id of ids) steps.push(...(await stepsOf(id)));
    for (const step of ['downloadImage', 'convertImage', 'publishBaseImage']) {
      assert.equal(steps.filter((name) => name === step).length, 1, `${step} ran once`);
    }
    await deleteAll(ids);
  } finally {
    await source.close();
  }
});

test('fifty builds of a refused image read its head once, and every one says why', async () => {
  const raw = await makeRawImage(up.folder, 'below.raw', 32 * mebibyte);
  const path = join(up.folder, 'refused.qcow2');
  await runProgram('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw.path, path], { timeoutMs: 60_000 });
  await runProgram('qemu-img', ['rebase', '-u', '-f', 'qcow2', '-F', 'raw', '-b', '/etc/hostname', path], {
    timeoutMs: 60_000,
  });
  const source = await serveSlowly(path, 8 * mebibyte);
  try {
    const outcomes = await createMany(50, { url: source.url, digest: await digestOf(path), format: 'qcow2' });
    for (const outcome of outcomes) {
      assert.ok(outcome.status === 'rejected' && outcome.reason instanceof EverbootFailure);
      assert.equal(outcome.reason.code, 'ImageUnacceptable');
      assert.match(outcome.reason.message, /backing/);
    }
    assert.deepEqual(source.offsets, [0], 'it was asked for once');
    // What the network takes beyond the first MiB before the connection is closed is not read.
    assert.ok(source.sentBytes < 16 * mebibyte, `${source.sentBytes} bytes were sent`);
    assert.deepEqual(
      (await readdir(up.paths.cache)).filter((name) => name.includes('.part')),
      [],
    );
  } finally {
    await source.close();
  }
});

test('when the fetching worker process is killed, the other one continues with its part', async () => {
  const image = await makeRawImage(up.folder, 'orphaned.raw', 48 * mebibyte);
  const source = await serveSlowly(image.path, 4 * mebibyte);
  try {
    const creating = createMany(6, { url: source.url, digest: image.digest, format: 'raw' });
    await fetchingBeyond(30 * mebibyte);
    const victim = await fetchingProcess();
    await victim.kill('SIGKILL');
    source.bytesPerSecond = 400 * mebibyte;
    const ids = made(await creating);
    assert.equal(source.offsets.length, 2, `one request before the kill, one after it: ${source.offsets}`);
    assert.ok((source.offsets[1] ?? 0) > 0, 'the second one continues at a byte of the first');
    await victim.start();
    await deleteAll(ids);
  } finally {
    await source.close();
  }
});

async function fetchingBeyond(bytes: number): Promise<void> {
  for (;;) {
    const parts = (await readdir(up.paths.cache)).filter((name) => name.endsWith('.part'));
    const sizes = await Promise.all(parts.map((name) => stat(join(up.paths.cache, name)).catch(() => ({ size: 0 }))));
    if (sizes.some(({ size }) => size > bytes)) return;
    await sleep(50);
  }
}

/** The worker process that has the partial file open. */
async function fetchingProcess(): Promise<RunningEverboot> {
  for (const worker of [up, other]) {
    const folder = `/proc/${worker.process().pid}/fd`;
    const links = await Promise.all((await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => '')));
    if (links.some((link) => link.endsWith('.part'))) return worker;
  }
  throw new Error('no worker has a partial file open');
}

test('builds, sweeps and scrubs of the same image at once: no build fails, no instance loses its base', async () => {
  const image = await makeQcow2Image(up.folder, 'raced.qcow2', 24);
  const source = { file: image.path, digest: image.digest, format: 'qcow2' };
  let building = true;
  const maintenance = { sweeps: 0, scrubs: 0, removed: 0 };
  const all: string[] = [];
  const caring = (async () => {
    while (building) {
      const sweep = await client.cache.sweep({ host: host });
      const scrub = await client.cache.scrub({ host: host, force: true });
      const [swept, scrubbed] = await Promise.all([sweep.result(), scrub.result()]);
      assert.deepEqual(scrubbed.damaged, []);
      maintenance.sweeps += 1;
      maintenance.scrubs += 1;
      maintenance.removed += swept.removed.length;
    }
  })();
  try {
    for (let round = 0; round < 6; round += 1) {
      const ids = made(await createMany(8, source));
      const views = await Promise.all(ids.map((id) => client.show(id)));
      for (const { result } of views) {
        const disk = result !== undefined && 'disks' in result ? result.disks[0] : undefined;
        assert.ok(disk?.backingFile !== undefined);
        await runProgram('qemu-img', ['info', '-f', 'qcow2', '--backing-chain', disk.path], { timeoutMs: 60_000 });
      }
      await Promise.all(ids.map((id) => client.delete(id, { host })));
      all.push(...ids);
    }
  } finally {
    building = false;
    await caring;
  }
  await assertCleanSlate(up.paths, all);
  assert.ok(maintenance.sweeps >= 3 && maintenance.removed >= 1, JSON.stringify(maintenance));
});
