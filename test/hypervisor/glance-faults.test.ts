import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { EverbootFailure, type FailureCode } from '../../domain/failures.ts';
import type { ImageDescription } from '../../domain/image.ts';
import { downloadImage } from '../../hypervisor/image-store/download/download-image.ts';
import { describeImage } from '../../hypervisor/sources/describe-image.ts';
import { type CuttingProxy, cuttingProxy, type LineFault } from '../fixtures/cutting-proxy.ts';
import { fetchOnce } from '../fixtures/fetch-once.ts';
import { startGlance, type TestGlance } from '../fixtures/glance.ts';
import { glanceSettings } from '../fixtures/image-server.ts';

const mebibyte = 2 ** 20;
const bytes = randomBytes(9 * mebibyte + 321);

let folder: string;
let glance: TestGlance;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-glance-faults-'));
  await writeFile(join(folder, 'image.raw'), bytes);
  glance = await startGlance();
});
after(async () => {
  await glance.stop();
  await rm(folder, { recursive: true, force: true });
});

async function upload(): Promise<string> {
  return await glance.upload(join(folder, 'image.raw'), { name: 'injected', disk_format: 'raw' });
}

async function described(id: string): Promise<ImageDescription> {
  const sources = { glance: glanceSettings({ apiServers: [glance.endpoint] }), fileImageRoots: [] };
  return await describeImage({ glance: id }, sources, AbortSignal.timeout(120_000));
}

/** Asks Glance for something else than its images; throws unless it does that. */
async function tell(path: string, init: RequestInit): Promise<Response> {
  const answer = await fetchOnce(`${glance.endpoint}${path}`, init);
  assert.ok(answer.ok, `${path} answered ${answer.status} ${await answer.clone().text()}`);
  return answer;
}

/** An uploaded image behind a line with these faults. Each `get` is one try of the step. */
async function withFaults(t: TestContext, faults: readonly LineFault[], reference?: { readonly glance: string }) {
  const uploaded = await described(await upload());
  const image = { ...uploaded, reference: reference ?? uploaded.reference };
  const proxy = await cuttingProxy(t, glance.endpoint, faults);
  const partPath = join(await mkdtemp(join(folder, 'part-')), 'base.part');
  const get = (numRetries = 3) =>
    downloadImage(
      { image, partPath, timeMs: 60_000 },
      { glance: glanceSettings({ apiServers: [proxy.url], numRetries, stallTimeout: 1 }), fileImageRoots: [] },
      { signal: AbortSignal.timeout(60_000), onProgress: () => undefined },
    );
  const isWhole = async () => assert.ok((await readFile(partPath)).equals(bytes), 'the part is the image');
  const id = 'glance' in image.reference ? image.reference.glance : '';
  return { id, proxy, get, isWhole };
}

/** Where each request began: as it was asked for, and as Glance answered. */
function starts({ exchanges }: CuttingProxy): { asked: number; status: string; from: number }[] {
  return exchanges.map(({ range, answer }) => ({
    asked: Number(range?.match(/\d+/)?.[0] ?? 0),
    status: answer.slice(9, 12),
    from: Number(/^content-range: bytes (\d+)-/im.exec(answer)?.[1] ?? 0),
  }));
}

function failsWith(code: FailureCode) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code;
}

test('a fetch from a real Glance continues at its byte after a reset, an early end and a stall', async (t) => {
  const faults = [
    { afterBytes: 3 * mebibyte, how: 'reset' },
    { afterBytes: 2 * mebibyte, how: 'end' },
    { afterBytes: mebibyte, how: 'stall' },
  ] as const;
  const { proxy, get, isWhole } = await withFaults(t, faults);
  await get();
  await isWhole();
  const all = starts(proxy);
  assert.deepEqual(
    all.map(({ status }) => status),
    ['200', '206', '206', '206'],
  );
  assert.ok(all.every(({ asked, from }, at) => asked === from && asked > (all[at - 1]?.asked ?? -1)));
  const md5 = createHash('md5').update(bytes).digest('hex');
  const said = proxy.exchanges.map(({ answer }) => /^content-md5: (\S+)/im.exec(answer)?.[1]);
  assert.deepEqual(said, [md5, md5, md5, md5], 'the checksum of a part is the whole image’s, and nothing to verify by');
});

test('a fetch continues at its byte when Glance is stopped in the middle and started again', async (t) => {
  const faults = [{ afterBytes: 4 * mebibyte, how: 'stall' } as const, { afterBytes: 0, how: 'end' } as const];
  const { proxy, get, isWhole } = await withFaults(t, faults);
  let stopped: Promise<void> | undefined;
  proxy.onFault = () => {
    stopped ??= glance.stop();
  };
  await assert.rejects(get(1), failsWith('GlanceUnavailable'));
  await stopped;
  await glance.start();
  const { resumedAtBytes } = await get();
  assert.ok(resumedAtBytes > 3 * mebibyte);
  assert.deepEqual(starts(proxy).at(-1), { asked: resumedAtBytes, status: '206', from: resumedAtBytes });
  await isWhole();
});

test('an image that is deleted in the middle is ImageNotFound as soon as it is asked for again', async (t) => {
  const { id, proxy, get } = await withFaults(t, [{ afterBytes: 4 * mebibyte, how: 'stall' }]);
  proxy.onFault = () => void tell(`/v2/images/${id}`, { method: 'DELETE' });
  await assert.rejects(get(), failsWith('ImageNotFound'));
  assert.deepEqual(
    starts(proxy).map(({ status }) => status),
    ['200', '404'],
  );
  await assert.rejects(described(id), failsWith('ImageNotFound'));
});

test('a deactivated image is ImageNotActive, and is built from again when it is reactivated', async () => {
  const id = await upload();
  await tell(`/v2/images/${id}/actions/deactivate`, { method: 'POST' });
  await assert.rejects(described(id), failsWith('ImageNotActive'));
  await tell(`/v2/images/${id}/actions/reactivate`, { method: 'POST' });
  assert.equal((await described(id)).sizeBytes, bytes.length);
});

test('an image without data is ImageNotActive by its record, and by what its bytes are answered with', async (t) => {
  const made = await tell('/v2/images', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'queued', disk_format: 'raw', container_format: 'bare' }),
  });
  const { id, status } = (await made.json()) as { id: string; status: string };
  assert.equal(status, 'queued');
  await assert.rejects(described(id), failsWith('ImageNotActive'));
  const { get, proxy } = await withFaults(t, [], { glance: id });
  await assert.rejects(get(), failsWith('ImageNotActive'));
  assert.deepEqual(
    starts(proxy).map((start) => start.status),
    ['204'],
  );
});
