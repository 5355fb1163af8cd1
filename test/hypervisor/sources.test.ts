import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { GlanceSettings } from '../../domain/configuration.ts';
import type { FailureCode } from '../../domain/failures.ts';
import type { ImageDescription, ImageReference } from '../../domain/image.ts';
import { describeImage } from '../../hypervisor/sources/describe-image.ts';
import { type Answer, glanceSettings, imageServer, say, serve } from '../fixtures/image-server.ts';

const id = 'c1f0e1a2-0000-4000-8000-5f3b1c2d4e5f';
const sha512 = 'ab'.repeat(64);
const record = {
  id,
  name: 'debian 12',
  status: 'active',
  disk_format: 'qcow2',
  container_format: 'bare',
  size: 1234,
  min_disk: 3,
  min_ram: 256,
  checksum: 'cd'.repeat(16),
  os_hash_algo: 'sha512',
  os_hash_value: sha512,
  updated_at: '2026-01-01T00:00:00Z',
  visibility: 'public',
  tags: ['a'],
  locations: [],
  hw_disk_bus: 'virtio',
  os_type: 'linux',
  kernel_id: null,
};

function look(reference: ImageReference, changes: Partial<GlanceSettings> = {}, fileImageRoots: string[] = []) {
  const sources = { glance: glanceSettings({ numRetries: 0, ...changes }), fileImageRoots };
  return describeImage(reference, sources, AbortSignal.timeout(120_000));
}

async function glanceThatSays(t: TestContext, changes: object, settings: Partial<GlanceSettings> = {}) {
  const { url } = await imageServer(t, [json({ ...record, ...changes })]);
  return await look({ glance: id }, { apiServers: [url], ...settings });
}

function json(value: unknown): Answer {
  return say(200, { 'content-type': 'application/json' }, JSON.stringify(value));
}

async function fails(work: Promise<ImageDescription>, code: FailureCode, message = /./): Promise<void> {
  await assert.rejects(work, (error: { code: string; message: string }) => {
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

describe('an image in Glance', { concurrency: true }, () => {
  test('is described by its record: format, size, hash, minimums, and its own properties as text', async (t) => {
    const image = await glanceThatSays(t, { hw_number: 3, hw_flag: true });
    assert.deepEqual(image, {
      reference: { glance: id },
      title: 'debian 12',
      format: 'qcow2',
      sizeBytes: 1234,
      digest: { algorithm: 'sha512', hex: sha512 },
      version: '2026-01-01T00:00:00Z',
      minDiskGb: 3,
      minRamMb: 256,
      properties: { hw_disk_bus: 'virtio', os_type: 'linux', hw_number: '3', hw_flag: 'true' },
    });
  });

  test('may have no size and only a checksum; without either digest it needs the host’s permission', async (t) => {
    const image = await glanceThatSays(t, { size: null, os_hash_algo: null, os_hash_value: null });
    assert.equal(image.sizeBytes, null);
    assert.equal(image.digest?.algorithm, 'md5');
    const none = { os_hash_value: null, checksum: null };
    await fails(glanceThatSays(t, none), 'ImageUnverifiable');
    assert.equal((await glanceThatSays(t, none, { allowUnverified: true })).digest, null);
  });

  test('is refused when it is inactive, packed, of an unknown format or too large', async (t) => {
    await fails(glanceThatSays(t, { status: 'deactivated' }), 'ImageNotActive', /deactivated/);
    await fails(glanceThatSays(t, { container_format: 'ova' }), 'ImageUnacceptable', /ova/);
    await fails(glanceThatSays(t, { disk_format: 'ploop' }), 'ImageUnacceptable', /ploop/);
    await fails(glanceThatSays(t, {}, { imageMaxBytes: 1000 }), 'ImageTooLarge', /1234/);
    await fails(glanceThatSays(t, manyProperties()), 'ImageUnacceptable', /properties/);
  });

  test('that is absent or forbidden is not asked for again', async (t) => {
    for (const [status, code] of [
      [404, 'ImageNotFound'],
      [401, 'ImageForbidden'],
      [403, 'ImageForbidden'],
    ] as const) {
      const server = await imageServer(t, [say(status)]);
      await fails(look({ glance: id }, { apiServers: [server.url], numRetries: 3 }), code);
      assert.equal(server.requests.length, 1);
    }
  });

  test('is looked for on the next server when one is down', async (t) => {
    const good = await imageServer(t, [json(record)]);
    const image = await look({ glance: id }, { apiServers: ['http://127.0.0.1:1', good.url], numRetries: 1 });
    assert.equal(image.title, 'debian 12');
  });

  test('makes GlanceUnavailable after a round, with each server and its last error', async (t) => {
    const sick = await imageServer(t, [say(503, { 'retry-after': '7' })]);
    const started = Date.now();
    await assert.rejects(
      look({ glance: id }, { apiServers: [sick.url, 'http://127.0.0.1:1'], numRetries: 1 }),
      (error: { code: string; message: string }) => {
        assert.equal(error.code, 'GlanceUnavailable');
        assert.match(error.message, /127\.0\.0\.1:1\/.*ECONNREFUSED/);
        assert.match(error.message, new RegExp(`${sick.url}.* 503`));
        return true;
      },
    );
    assert.ok(Date.now() - started >= 1000, 'a second lies between two attempts');
  });

  test('is not believed when the answer is endless, not JSON, another image, encoded, or never complete', async (t) => {
    const endless: Answer = (_request, response) => response.writeHead(200).end(`{"id":"${'x'.repeat(2 ** 21)}"}`);
    const drip: Answer = (_request, response) => {
      const timer = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(timer));
    };
    for (const answer of [endless, say(200, {}, 'hello'), json([]), json({ ...record, id: 'other' }), drip]) {
      const { url } = await imageServer(t, [answer]);
      await fails(
        look({ glance: id }, { apiServers: [url], connectTimeout: 0.3, stallTimeout: 0.3 }),
        'GlanceUnavailable',
      );
    }
    const { url } = await imageServer(t, [say(200, { 'content-encoding': 'gzip' }, '{}')]);
    await fails(look({ glance: id }, { apiServers: [url] }), 'SourceUnavailable', /gzip/);
  });

  test('on another Glance is asked for there only, under its prefix', async (t) => {
    const other = await imageServer(t, [json(record)]);
    for (const path of [`/image/v2/images/${id}`, `/image/images/${id}`]) {
      await look({ glance: `${other.url}${path}` }, { apiServers: ['http://127.0.0.1:1'], cloud: 'mine' });
    }
    assert.deepEqual(new Set(other.requests), new Set([`GET /image/v2/images/${id}`]));
  });

  test('has a reference that is a UUID or the URL of one', async () => {
    const bad = [
      '..',
      'ubuntu',
      '',
      '../etc',
      `${id}/../x`,
      `ftp://h/v2/images/${id}`,
      'http://h/v2/images/x',
      `http://h/${id}`,
    ];
    bad.push(`http://user:secret@h/v2/images/${id}`, `http://h/v2/images/${id}?x=1`, `http:///v2/images/..`);
    for (const glance of bad) {
      await assert.rejects(look({ glance }, { apiServers: ['http://127.0.0.1:1'] }), (error: Error) => {
        assert.equal((error as { code?: string }).code, 'ImageRefInvalid', glance);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    }
  });

  test('needs a Glance', async () => {
    await fails(look({ glance: id }), 'HostUnsuitable', /Glance/);
  });

  test('is aborted with the signal’s own reason', async (t) => {
    const { url } = await imageServer(t, [() => undefined]);
    const stop = new AbortController();
    const sources = { glance: glanceSettings({ apiServers: [url] }), fileImageRoots: [] };
    setTimeout(() => stop.abort(new Error('enough')), 100);
    await assert.rejects(describeImage({ glance: id }, sources, stop.signal), /^Error: enough$/);
  });
});

function manyProperties(): object {
  return Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`p${at}`, 'x'.repeat(4000)]));
}

const bytes = Buffer.from('an image');
const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

function urlImage(url: string): ImageReference {
  return { url, digest, format: 'raw' };
}

describe('an image at a URL', { concurrency: true }, () => {
  test('is described by a HEAD, or by a GET that is not read', async (t) => {
    const plain = await imageServer(t, [serve(bytes)]);
    const image = await look(urlImage(`${plain.url}/a/debian.raw?signature=secret`));
    assert.equal(image.sizeBytes, bytes.length);
    assert.equal(image.title, 'debian.raw');
    assert.equal(`${image.digest?.algorithm}:${image.digest?.hex}`, digest);
    const headless = await imageServer(t, [say(405), serve(bytes)]);
    assert.equal((await look(urlImage(headless.url))).sizeBytes, bytes.length);
    assert.deepEqual(headless.requests, ['HEAD /', 'GET /']);
  });

  test('without a digest needs the host’s permission, and is then identified by what the server says', async (t) => {
    const { url } = await imageServer(t, [serve(bytes, { etag: '"one"' })]);
    const reference = { url, format: 'raw' } as const;
    await fails(look(reference), 'ImageUnverifiable', /gives no digest/);
    const image = await look(reference, { allowUnverified: true });
    assert.deepEqual([image.digest, image.version, image.sizeBytes], [null, '"one"', bytes.length]);
  });

  test('is found through redirects, but not through many, and not outside of http', async (t) => {
    const good = await imageServer(t, [serve(bytes)]);
    const moved = await imageServer(t, [say(302, { location: `${good.url}/there` })]);
    assert.equal((await look(urlImage(moved.url))).sizeBytes, bytes.length);
    const loop = await imageServer(t, [say(301, { location: '/again' })]);
    await fails(look(urlImage(loop.url)), 'SourceUnavailable', /more than 5 times/);
    assert.equal(loop.requests.length, 6);
    const local = await imageServer(t, [say(302, { location: 'file:///etc/passwd' })]);
    await fails(look(urlImage(local.url)), 'SourceUnavailable', /file:/);
  });

  test('that is absent, forbidden, too large or unreachable says so, without the query that signs it', async (t) => {
    for (const [status, code] of [
      [404, 'ImageNotFound'],
      [410, 'ImageNotFound'],
      [403, 'ImageForbidden'],
      [451, 'SourceUnavailable'],
    ] as const) {
      const { url } = await imageServer(t, [say(status)]);
      await fails(look(urlImage(url)), code);
    }
    const { url } = await imageServer(t, [serve(bytes)]);
    await fails(look(urlImage(url), { imageMaxBytes: 3 }), 'ImageTooLarge');
    await assert.rejects(
      look(urlImage('http://127.0.0.1:1/x?sig=secret')),
      (error: { code: string; message: string }) => {
        assert.equal(error.code, 'SourceUnreachable');
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
    await fails(look(urlImage('file:///etc/passwd')), 'SourceUnavailable');
  });
});

describe('an image in a file', () => {
  async function folders(t: TestContext) {
    const top = await mkdtemp(join(tmpdir(), 'everboot-sources-'));
    t.after(() => rm(top, { recursive: true, force: true }));
    const root = join(top, 'images');
    await mkdir(root);
    await writeFile(join(root, 'a.raw'), bytes);
    await writeFile(join(top, 'secret'), bytes);
    const lookAt = (file: string, roots = [root]) => look({ file, digest, format: 'raw' }, {}, roots);
    return { top, root, lookAt };
  }

  test('is described by its size; links inside of the folder are followed', async (t) => {
    const { root, lookAt } = await folders(t);
    await symlink('a.raw', join(root, 'latest.raw'));
    assert.equal((await lookAt(join(root, 'a.raw'))).sizeBytes, bytes.length);
    assert.equal((await lookAt(join(root, 'latest.raw'))).title, 'latest.raw');
  });

  test('in a folder that is itself reached by a link is in that folder', async (t) => {
    const { top, root, lookAt } = await folders(t);
    await symlink(root, join(top, 'link'));
    assert.equal((await lookAt(join(top, 'link', 'a.raw'), [join(top, 'link')])).sizeBytes, bytes.length);
  });

  test('outside of the folders is not looked at, by whichever path', async (t) => {
    const { top, root, lookAt } = await folders(t);
    await symlink(join(top, 'secret'), join(root, 'way-out'));
    await symlink(top, join(root, 'up'));
    const ways = [join(top, 'secret'), `${root}/../secret`, join(root, 'way-out'), join(root, 'up', 'secret')];
    for (const file of [...ways, join(top, 'absent'), `${root}-other/x`, 'a.raw', root]) {
      await fails(lookAt(file), 'SourceUnavailable', /none of the folders/);
    }
    await fails(lookAt(join(root, 'a.raw'), []), 'SourceUnavailable');
  });

  test('has to be there, and to be a regular file', async (t) => {
    const { root, lookAt } = await folders(t);
    await fails(lookAt(join(root, 'absent')), 'ImageNotFound');
    await mkdir(join(root, 'folder'));
    await fails(lookAt(join(root, 'folder')), 'SourceUnavailable', /regular/);
    execFileSync('mkfifo', [join(root, 'pipe')]);
    await fails(lookAt(join(root, 'pipe')), 'SourceUnavailable', /regular/);
  });
});
