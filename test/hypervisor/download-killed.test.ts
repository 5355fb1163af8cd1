import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ImageDescription } from '../../domain/image.ts';
import { downloadImage } from '../../hypervisor/image-store/download/download-image.ts';
import { cutAfter, glanceSettings, imageServer, serve } from '../fixtures/image-server.ts';

const mib = 2 ** 20;
const sentBytes = 70 * mib;

/** Long enough for a checkpoint, and different in every block. */
const bytes = Buffer.alloc(72 * mib, 1);
for (let at = 0; at < bytes.length; at += 4096) bytes.writeUInt32LE(at, at);

const download = new URL('../../hypervisor/image-store/download/download-image.ts', import.meta.url).href;
const script = `
  const { downloadImage } = await import(${JSON.stringify(download)});
  const [order, settings] = JSON.parse(process.env.ORDER);
  await downloadImage(order, settings, { signal: new AbortController().signal, onProgress() {} });
`;

test('a download continues within 4 MiB of what was received when its process is killed', {
  timeout: 300_000,
}, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'everboot-killed-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const server = await imageServer(t, [
    (_request, response) => {
      response.writeHead(200, { 'content-length': bytes.length }).write(bytes.subarray(0, sentBytes));
    },
    // The first attempt of the next process is cut, too.
    cutAfter(bytes, 10),
    serve(bytes),
  ]);
  const image: ImageDescription = {
    reference: { glance: 'c1f0e1a2-0000-4000-8000-5f3b1c2d4e5f' },
    title: 'debian',
    format: 'raw',
    sizeBytes: bytes.length,
    digest: { algorithm: 'sha256', hex: createHash('sha256').update(bytes).digest('hex') },
    minDiskGb: 0,
    minRamMb: 0,
    properties: {},
  };
  const order = { image, partPath: join(directory, 'base.part'), timeMs: 60_000 };
  const settings = { glance: glanceSettings({ apiServers: [server.url], stallTimeout: 30 }), fileImageRoots: [] };

  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ORDER: JSON.stringify([order, settings]) },
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  t.after(() => child.kill('SIGKILL'));
  const written = async (): Promise<number> => (await stat(order.partPath).catch(() => ({ size: 0 }))).size;
  while ((await written()) < sentBytes - mib && child.exitCode === null)
    await sleep(50, undefined, { signal: t.signal });
  child.kill('SIGKILL');
  await ended;

  const resumedAtBytes = (await written()) - 4 * mib;
  assert.ok(resumedAtBytes >= sentBytes - 5 * mib && resumedAtBytes <= sentBytes);
  const made = await downloadImage(order, settings, { signal: t.signal, onProgress: () => undefined });
  assert.deepEqual(made, { sizeBytes: bytes.length, resumedAtBytes });
  const ranges = server.requests.map((request) => request.split(' ')[2]);
  assert.deepEqual(ranges, [undefined, `bytes=${resumedAtBytes}-`, `bytes=${resumedAtBytes + 10}-`]);
  assert.ok((await readFile(order.partPath)).equals(bytes));
});
