import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { findTemporalCli, startTemporalServer } from '../../workers/temporal-server.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { freePorts } from '../fixtures/free-port.ts';
import { makeRawImage } from '../fixtures/images.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';
import { type SlowImageServer, serveSlowly } from '../fixtures/slow-image-server.ts';
import { stateDirectory } from '../fixtures/state-directory.ts';

const mebibyte = 2 ** 20;
let folder: string;
let server: Awaited<ReturnType<typeof startTemporalServer>>;
let worker: RunningEverboot;
let startServer: () => Promise<void>;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-outage-'));
  const executable = await findTemporalCli(stateDirectory(), process.env.PATH ?? '');
  assert.ok(executable !== null, 'there is a Temporal CLI');
  const [port = 0, uiPort = 0] = await freePorts(2);
  startServer = async () => {
    server = await startTemporalServer({ stateDirectory: folder, executable, port, uiPort, namespace: 'default' });
  };
  await startServer();
  worker = await startEverboot({ command: 'worker', environment: { TEMPORAL_ADDRESS: `127.0.0.1:${port}` } });
});
after(async () => {
  await worker.stop();
  await server.program.stop(5000);
  await rm(folder, { recursive: true, force: true });
});

async function partOf(): Promise<string | undefined> {
  const names = await readdir(worker.paths.cache).catch(() => [] as string[]);
  const name = names.find((candidate) => candidate.endsWith('.part'));
  return name === undefined ? undefined : join(worker.paths.cache, name);
}

/** Starts a boot from a slow server, and waits until so much of its image is in the partial file. */
async function fetching(name: string, bytes: number): Promise<{ source: SlowImageServer; id: string; part: string }> {
  const image = await makeRawImage(worker.folder, `${name}.raw`, bytes);
  const source = await serveSlowly(image.path, 6 * mebibyte);
  const { document } = await worker.json(['create', '-f', '-', '--detach'], {
    name,
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 0 },
    image: { url: source.url, digest: image.digest, format: 'raw' },
    boot: 'disks',
  });
  for (;;) {
    const part = await partOf();
    const size = part === undefined ? 0 : (await stat(part).catch(() => ({ size: 0 }))).size;
    if (part !== undefined && size > 16 * mebibyte) return { source, id: document.instanceId, part };
    await sleep(50);
  }
}

async function untilReady(id: string): Promise<void> {
  const deadline = Date.now() + 120_000;
  for (;;) {
    const { document } = await worker.json(['show', id]);
    if (document.phase === 'Ready') return;
    assert.notEqual(document.phase, 'Failed', JSON.stringify(document));
    assert.ok(Date.now() < deadline, JSON.stringify(document));
    await sleep(500);
  }
}

test('a fetch continues while Temporal is away and when it is back, and is not started again', async () => {
  const { source, id } = await fetching('temporal-away', 64 * mebibyte);
  try {
    const before = source.sentBytes;
    process.kill(server.program.pid, 'SIGKILL');
    await server.program.ended;
    await sleep(2000);
    assert.ok(source.sentBytes > before, 'the bytes keep coming while they cannot be reported');
    await startServer();
    source.bytesPerSecond = 400 * mebibyte;
    await untilReady(id);
    assert.ok(
      source.offsets.slice(1).every((offset) => offset > 8 * mebibyte),
      `asked for bytes ${source.offsets}`,
    );
    await worker.json(['delete', id]);
    await assertCleanSlate(worker.paths, [id]);
  } finally {
    await source.close();
  }
});

test('after a crash of the machine a fetch continues at the last byte that was synced', async () => {
  // A checkpoint is made every five seconds.
  const { source, id, part } = await fetching('rebooted', 96 * mebibyte);
  try {
    const sidecar = async () => JSON.parse(await readFile(`${part}.json`, 'utf8'));
    while ((await sidecar()).syncedBytes === 0) await sleep(100);
    await worker.kill('SIGKILL');
    const state = await sidecar();
    // What a power cut leaves at worst: the synced bytes, and nothing else that can be relied on.
    await truncate(part, state.syncedBytes);
    await writeFile(`${part}.json`, JSON.stringify({ ...state, bootId: 'the boot before' }));
    source.bytesPerSecond = 400 * mebibyte;
    await worker.start();
    await untilReady(id);
    assert.deepEqual(source.offsets, [0, state.syncedBytes]);
    await worker.json(['delete', id]);
    await assertCleanSlate(worker.paths, [id]);
  } finally {
    await source.close();
  }
});
