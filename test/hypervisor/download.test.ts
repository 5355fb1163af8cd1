import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { GlanceSettings } from '../../domain/configuration.ts';
import { EverbootFailure, type FailureCode } from '../../domain/failures.ts';
import type { ImageDescription, ImageReference } from '../../domain/image.ts';
import type { RateLimit } from '../../hypervisor/http/rate-limit.ts';
import { type DownloadOrder, downloadImage } from '../../hypervisor/image-store/download/download-image.ts';
import { type Answer, cutAfter, glanceSettings, imageServer, say, serve } from '../fixtures/image-server.ts';

const id = 'c1f0e1a2-0000-4000-8000-5f3b1c2d4e5f';
const mib = 2 ** 20;
const bytes = randomBytes(3 * mib + 12_345);
const half = mib + 77;

function described(reference: ImageReference, changes: Partial<ImageDescription> = {}): ImageDescription {
  const hex = createHash('sha512').update(bytes).digest('hex');
  const digest = { algorithm: 'sha512', hex } as const;
  const unknown = { minDiskGb: 0, minRamMb: 0, properties: {} };
  return { reference, title: 'debian', format: 'raw', sizeBytes: bytes.length, digest, ...unknown, ...changes };
}

interface Way {
  readonly image?: Partial<ImageDescription>;
  readonly glance?: Partial<GlanceSettings>;
  readonly order?: Partial<DownloadOrder>;
  readonly signal?: AbortSignal;
  readonly rateLimit?: RateLimit;
}

/** A folder to download into, from a Glance at these addresses. */
async function folder(t: TestContext, ...apiServers: string[]) {
  const directory = await mkdtemp(join(tmpdir(), 'everboot-download-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const partPath = join(directory, 'base.part');
  const get = ({ image = {}, glance = {}, order = {}, signal = AbortSignal.timeout(30_000), ...limits }: Way = {}) =>
    downloadImage(
      { image: described({ glance: id }, image), partPath, timeMs: 30_000, ...order },
      { glance: glanceSettings({ apiServers, ...glance }), fileImageRoots: [directory], ...limits },
      { signal, onProgress: () => undefined },
    );
  const sidecar = async () => JSON.parse(await readFile(`${partPath}.json`, 'utf8'));
  const isWhole = async () => assert.ok((await readFile(partPath)).equals(bytes), 'the part is the image');
  return { directory, partPath, get, sidecar, isWhole };
}

async function fails(work: Promise<unknown>, code: FailureCode, message = /./): Promise<void> {
  await assert.rejects(work, (error: EverbootFailure) => {
    assert.equal(error.code, code, error.stack);
    assert.match(error.message, message);
    return true;
  });
}

async function isGone(path: string): Promise<void> {
  await assert.rejects(stat(path), { code: 'ENOENT' });
}

/** Sends all that is left of the image, saying this of the range. */
function partially(headers: (from: number) => Record<string, string | number>, body: (from: number) => Buffer): Answer {
  return (request, response) => {
    const from = Number(request.headers.range?.match(/\d+/)?.[0]);
    response.writeHead(206, headers(from)).end(body(from));
  };
}

const rangeOf = (from: number): string => `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
const once = { glance: { numRetries: 0 } };

describe('a download', { concurrency: 6 }, () => {
  test('is verified, and done once: called again it asks for nothing', async (t) => {
    const server = await imageServer(t, [serve(bytes)]);
    const { get, isWhole, sidecar } = await folder(t, server.url);
    assert.deepEqual(await get(), { sizeBytes: bytes.length, resumedAtBytes: 0 });
    await isWhole();
    assert.equal((await sidecar()).verified, true);
    assert.deepEqual(await get(), { sizeBytes: bytes.length, resumedAtBytes: bytes.length });
    assert.deepEqual(server.requests, [`GET /v2/images/${id}/file`]);
  });

  test('that is cut continues at its byte, in the same call and on another server', async (t) => {
    const cut = await imageServer(t, [cutAfter(bytes, half)]);
    const good = await imageServer(t, [serve(bytes)]);
    const { get, isWhole } = await folder(t, cut.url, good.url);
    await get({ glance: { numRetries: 3 } });
    await isWhole();
    const requests = [...cut.requests, ...good.requests];
    assert.ok(
      requests.every(
        (request) =>
          !request.includes('bytes=') || request.endsWith(`bytes=${half}-`) || request.endsWith(`bytes=${2 * half}-`),
      ),
    );
  });

  test('that ran out of retries continues at its byte in the next call', async (t) => {
    const server = await imageServer(t, [cutAfter(bytes, half), serve(bytes)]);
    const { get, isWhole, sidecar } = await folder(t, server.url);
    await fails(get(once), 'GlanceUnavailable', /broke off/);
    assert.equal((await sidecar()).writtenBytes, half);
    assert.deepEqual(await get(once), { sizeBytes: bytes.length, resumedAtBytes: half });
    assert.equal(server.requests[1], `GET /v2/images/${id}/file bytes=${half}-`);
    await isWhole();
  });

  test('restarts the count of attempts when an attempt got anywhere', async (t) => {
    const piece = cutAfter(bytes, mib);
    const server = await imageServer(t, [piece, piece, piece, serve(bytes)]);
    const { get, isWhole } = await folder(t, server.url);
    await get({ glance: { numRetries: 1 } });
    await isWhole();
    assert.equal(server.requests.length, 4);
  });

  test('continues from what the sidecar promises, whatever a crash left behind that', async (t) => {
    const server = await imageServer(t, [cutAfter(bytes, half), serve(bytes)]);
    const { get, isWhole, partPath } = await folder(t, server.url);
    await fails(get(once), 'GlanceUnavailable');
    await writeFile(partPath, randomBytes(5000), { flag: 'a' });
    assert.equal((await get()).resumedAtBytes, half);
    await isWhole();
  });

  test('that the machine’s crash interrupted counts only what was synced', async (t) => {
    const server = await imageServer(t, [cutAfter(bytes, half), serve(bytes), serve(bytes)]);
    const { get, isWhole, partPath, sidecar } = await folder(t, server.url);
    await fails(get(once), 'GlanceUnavailable');
    const afterBoot = async (changes: object) =>
      writeFile(`${partPath}.json`, JSON.stringify({ ...(await sidecar()), bootId: 'an earlier one', ...changes }));
    await afterBoot({ syncedBytes: 1000 });
    assert.equal((await get()).resumedAtBytes, 1000);
    await isWhole();
    // It is complete, but nobody knows of how much of it the disk does.
    await afterBoot({ syncedBytes: 2000 });
    assert.deepEqual(await get(), { sizeBytes: bytes.length, resumedAtBytes: 2000 });
    await isWhole();
    assert.deepEqual(
      server.requests.map((request) => request.split(' ')[2]),
      [undefined, 'bytes=1000-', 'bytes=2000-'],
    );
  });

  test('counts the time of its own attempts only, and another fetcher has the whole time again', async (t) => {
    const server = await imageServer(t, [cutAfter(bytes, half), serve(bytes)]);
    const { get, sidecar } = await folder(t, server.url);
    const mine = { ...once, order: { fetcher: 'mine', timeMs: 30_000 } };
    await fails(get(mine), 'GlanceUnavailable');
    const { spentMs } = await sidecar();
    assert.ok(spentMs > 0 && spentMs < 30_000);
    await fails(get({ ...once, order: { fetcher: 'mine', timeMs: spentMs } }), 'GlanceConnectionFailed');
    assert.equal((await sidecar()).spentMs, 0, 'who asks again has the whole time');
    await get({ ...once, order: { fetcher: 'another', timeMs: 30_000 } });
  });

  test('restarts when the part is shorter than promised, the sidecar is unreadable, or the image is another one', async (t) => {
    const damages: ((path: string) => Promise<void>)[] = [
      (path) => truncate(path, 100),
      (path) => writeFile(`${path}.json`, '{"version":'),
      () => Promise.resolve(),
    ];
    for (const damage of damages) {
      const server = await imageServer(t, [cutAfter(bytes, half), serve(bytes)]);
      const { get, isWhole, partPath } = await folder(t, server.url);
      await fails(get(once), 'GlanceUnavailable');
      await damage(partPath);
      assert.equal((await get({ image: { version: 'of another day' } })).resumedAtBytes, 0);
      assert.equal(server.requests[1], `GET /v2/images/${id}/file`);
      await isWhole();
    }
  });

  test('restarts on a 200 to a range, in the same call', async (t) => {
    const whole: Answer = (_request, response) =>
      response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
    const server = await imageServer(t, [cutAfter(bytes, half), whole]);
    const { get, isWhole } = await folder(t, server.url);
    await get();
    await isWhole();
  });

  test('takes a 206 only for what it asked: else it asks for the whole', async (t) => {
    const liars: Answer[] = [
      partially(
        (from) => ({ 'content-range': `bytes ${from - 1}-${bytes.length - 1}/${bytes.length}` }),
        (from) => bytes.subarray(from),
      ),
      partially(
        (from) => ({ 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length + 1}` }),
        (from) => bytes.subarray(from),
      ),
      partially(
        (from) => ({ 'content-range': rangeOf(from), 'content-length': bytes.length }),
        () => bytes,
      ),
      partially(
        () => ({}),
        () => bytes,
      ),
      // Its headers are right, and its body is everything.
      partially(
        (from) => ({ 'content-range': rangeOf(from) }),
        () => bytes,
      ),
    ];
    await Promise.all(
      liars.map(async (liar, at) => {
        const server = await imageServer(t, [cutAfter(bytes, half), liar, serve(bytes)]);
        const { get, isWhole } = await folder(t, server.url);
        await get({ glance: { numRetries: 2 } });
        assert.deepEqual(
          server.requests.slice(1),
          [`GET /v2/images/${id}/file bytes=${half}-`, `GET /v2/images/${id}/file`],
          `liar ${at}`,
        );
        await isWhole();
      }),
    );
  });

  test('of unknown size is complete when the server has nothing behind it', async (t) => {
    const chunked: Answer = (_request, response) => {
      response.writeHead(200).write(bytes, () => setTimeout(() => response.destroy(), 50));
    };
    const server = await imageServer(t, [chunked, say(416, { 'content-range': `bytes */${bytes.length}` })]);
    const { get, isWhole } = await folder(t, server.url);
    await get({ image: { sizeBytes: null } });
    await isWhole();
  });

  test('ends after its time on a server that drips, and names it', async (t) => {
    const drip: Answer = (_request, response) => {
      response.writeHead(200, { 'content-length': bytes.length });
      const timer = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(timer));
    };
    const server = await imageServer(t, [drip]);
    const { get, sidecar } = await folder(t, server.url);
    await fails(get({ order: { timeMs: 1500 } }), 'GlanceConnectionFailed', new RegExp(server.url));
    assert.ok((await sidecar()).writtenBytes > 0);
  });

  test('that stalls is dropped and tried again', async (t) => {
    const stall: Answer = (_request, response) =>
      response.writeHead(200, { 'content-length': bytes.length }).write('x');
    const mute: Answer = () => undefined;
    const server = await imageServer(t, [stall, mute]);
    const { get } = await folder(t, server.url);
    await fails(get({ glance: { stallTimeout: 0.2, numRetries: 1 } }), 'GlanceUnavailable', /no answer within 0.2 s/);
    assert.equal(server.requests.length, 2);
  });

  test('waits for as long as a busy server asks', async (t) => {
    const server = await imageServer(t, [say(503, { 'retry-after': '2' }), serve(bytes)]);
    const { get, isWhole } = await folder(t, server.url);
    const started = Date.now();
    await get();
    assert.ok(Date.now() - started >= 1900);
    await isWhole();
  });

  test('does not repeat what cannot get better', async (t) => {
    const answers = [
      [403, 'ImageForbidden'],
      [404, 'ImageNotFound'],
      [410, 'ImageNotFound'],
      [204, 'ImageNotActive'],
      [400, 'GlanceConnectionFailed'],
    ] as const;
    for (const [status, code] of answers) {
      const server = await imageServer(t, [say(status)]);
      const { get } = await folder(t, server.url);
      await fails(get({ glance: { numRetries: 3 } }), code);
      assert.equal(server.requests.length, 1);
    }
  });

  test('that is longer than the image is cut off, refused, and leaves nothing', async (t) => {
    const more = Buffer.concat([bytes, bytes]);
    const endless: Answer = (_request, response) => response.writeHead(200).end(more);
    for (const answer of [endless, serve(more)]) {
      const server = await imageServer(t, [answer]);
      const { get, partPath } = await folder(t, server.url);
      await fails(get(), 'ImageTooLarge');
      await isGone(partPath);
      await isGone(`${partPath}.json`);
    }
    const server = await imageServer(t, [endless]);
    const { get } = await folder(t, server.url);
    await fails(get({ image: { sizeBytes: null }, glance: { imageMaxBytes: mib } }), 'ImageTooLarge');
  });

  test('with a wrong digest is refused after a clean fetch', async (t) => {
    const other = randomBytes(bytes.length);
    const server = await imageServer(t, [serve(other)]);
    const { get, partPath } = await folder(t, server.url);
    await fails(get(), 'ImageDigestMismatch');
    await isGone(partPath);
  });

  test('with a wrong digest after a resume is worth one clean fetch, in one piece', async (t) => {
    const other = randomBytes(bytes.length);
    const server = await imageServer(t, [cutAfter(other, half), serve(bytes), cutAfter(bytes, half), serve(bytes)]);
    const { get, isWhole, sidecar } = await folder(t, server.url);
    await fails(get(), 'SourceChanged');
    assert.deepEqual([(await sidecar()).onePiece, (await sidecar()).syncedBytes], [true, 0]);
    await fails(get(once), 'GlanceUnavailable');
    assert.equal((await get()).resumedAtBytes, 0);
    assert.equal(server.requests[3], `GET /v2/images/${id}/file`);
    await isWhole();
  });

  test('restarts once when its ETag changed on the way; a second change is left to the digest', async (t) => {
    const piece = (etag: string) => cutAfter(bytes, half, { etag });
    const server = await imageServer(t, [
      piece('"1"'),
      piece('"2"'),
      piece('"3"'),
      piece('"4"'),
      serve(bytes, { etag: '"5"' }),
    ]);
    const { get, isWhole, sidecar } = await folder(t, server.url);
    await fails(get(), 'SourceChanged', /changed/);
    assert.deepEqual([(await sidecar()).startedOver, (await sidecar()).syncedBytes], [true, 0]);
    await get();
    assert.equal(server.requests[4], `GET /v2/images/${id}/file bytes=${2 * half}-`);
    await isWhole();
  });

  test('that became shorter at its source is fetched again once, and then refused', async (t) => {
    const server = await imageServer(t, [serve(bytes.subarray(0, half))]);
    const { get } = await folder(t, server.url);
    await fails(get(), 'SourceChanged');
    await fails(get(), 'ImageDigestMismatch');
  });

  test('that is stopped keeps what it has, and throws the signal’s own reason', async (t) => {
    const stop = new AbortController();
    const slow: Answer = (_request, response) => {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, half));
    };
    let arrived = 0;
    const take = async (length: number): Promise<void> => {
      arrived += length;
      // When the last of these pieces has been taken, however slow the machine is.
      if (arrived === half) setTimeout(() => stop.abort(new Error('enough')), 200);
    };
    const server = await imageServer(t, [slow, serve(bytes)]);
    const { get, isWhole } = await folder(t, server.url);
    await assert.rejects(get({ signal: stop.signal, rateLimit: { take } }), /^Error: enough$/);
    // Stopped again while it looks at what is there: that is none the less there.
    await assert.rejects(get({ signal: stop.signal }), /^Error: enough$/);
    assert.equal((await get()).resumedAtBytes, half);
    await isWhole();
  });

  test('has its head judged as soon as that is there, again after a resume, and a refusal ends it', async (t) => {
    const heads: number[] = [];
    const judgeHead: DownloadOrder['judgeHead'] = (head, _format, _title, limits) => {
      assert.ok(bytes.subarray(0, head.length).equals(head));
      assert.equal(limits.fileSizeBytes, bytes.length);
      heads.push(head.length);
    };
    const server = await imageServer(t, [cutAfter(bytes, half), serve(bytes)]);
    const { get, partPath } = await folder(t, server.url);
    await fails(get({ ...once, order: { judgeHead } }), 'GlanceUnavailable');
    await get({ order: { judgeHead } });
    assert.deepEqual(heads, [mib, mib]);

    await rm(partPath);
    const refuse = () => {
      throw new EverbootFailure('ImageUnacceptable', 'no');
    };
    await fails(get({ order: { judgeHead: refuse } }), 'ImageUnacceptable');
    await isGone(partPath);
  });

  test('keeps zeros as holes and has its full length, also where it is cut in them', async (t) => {
    const sparse = Buffer.concat([Buffer.alloc(4 * mib), Buffer.from('end of data'), Buffer.alloc(3 * mib)]);
    const digest = { algorithm: 'sha256', hex: createHash('sha256').update(sparse).digest('hex') } as const;
    const server = await imageServer(t, [cutAfter(sparse, 2 * mib), serve(sparse)]);
    const { get, partPath } = await folder(t, server.url);
    const image = { digest, sizeBytes: sparse.length };
    await fails(get({ ...once, image }), 'GlanceUnavailable');
    assert.equal((await stat(partPath)).size, 2 * mib);
    await get({ image });
    assert.ok((await readFile(partPath)).equals(sparse));
    assert.ok((await stat(partPath)).blocks * 512 < mib);
  });

  test('of an empty image asks for nothing', async (t) => {
    const digest = { algorithm: 'md5', hex: createHash('md5').digest('hex') } as const;
    const { get } = await folder(t, 'http://127.0.0.1:1');
    assert.deepEqual(await get({ image: { digest, sizeBytes: 0 } }), { sizeBytes: 0, resumedAtBytes: 0 });
  });

  test('from a URL follows redirects, continues from another address of the same digest, and calls its failures its own', async (t) => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    const good = await imageServer(t, [serve(bytes)]);
    const moved = await imageServer(t, [say(302, { location: `${good.url}/there` })]);
    const cut = await imageServer(t, [cutAfter(bytes, half), say(502)]);
    const { get, isWhole } = await folder(t);
    const at = (url: string) => ({
      image: {
        reference: { url, digest: `sha256:${hex}`, format: 'raw' } as const,
        digest: { algorithm: 'sha256', hex } as const,
      },
    });
    await fails(get(at(`${cut.url}/x?sig=secret`)), 'SourceUnreachable', /^(?!.*secret).*502/);
    await fails(get({ ...at(`${cut.url}/x`), ...once, order: { timeMs: -1 } }), 'SourceUnavailable', /502/);
    assert.equal((await get(at(moved.url))).resumedAtBytes, half);
    assert.deepEqual(good.requests, [`GET /there bytes=${half}-`]);
    await isWhole();
  });

  test('from a file is copied and verified in the same way', async (t) => {
    const { directory, get, isWhole, partPath } = await folder(t);
    const file = join(directory, 'source.raw');
    await writeFile(file, bytes);
    const image = { reference: { file, digest: '', format: 'raw' } as const };
    assert.deepEqual(await get({ image }), { sizeBytes: bytes.length, resumedAtBytes: 0 });
    await isWhole();
    await writeFile(file, randomBytes(bytes.length));
    await rm(partPath);
    await fails(get({ image }), 'ImageDigestMismatch');
    await fails(get({ image: { reference: { ...image.reference, file: '/etc/hostname' } } }), 'SourceUnavailable');
  });
});
