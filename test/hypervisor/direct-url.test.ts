import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { open, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { ImageDescription } from '../../domain/image.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { describeImage } from '../../hypervisor/sources/describe-image.ts';
import { forwarder } from '../fixtures/forwarder.ts';
import { startGlance, type TestGlance } from '../fixtures/glance.ts';
import { type Answer, glanceSettings, imageServer, say, serve } from '../fixtures/image-server.ts';
import { digestOf, fetchImage, folders, mountedDisk, type Roots } from '../fixtures/local-images.ts';

const mebibyte = 2 ** 20;
const id = 'c1f0e1a2-0000-4000-8000-5f3b1c2d4e5f';
const bytes = randomBytes(3 * mebibyte + 77);
const direct = { allowedDirectUrlSchemes: ['file'], numRetries: 0 };

async function described(glance: string, ...apiServers: string[]): Promise<ImageDescription> {
  const sources = { glance: glanceSettings({ apiServers }), fileImageRoots: [] };
  return await describeImage({ glance }, sources, AbortSignal.timeout(120_000));
}

interface Told {
  /** The answer of `/locations`, as JSON, or one of another kind. */
  readonly locations?: readonly unknown[] | Answer;
  /** Further fields of the image's record. */
  readonly record?: object;
  readonly size?: number | null;
}

/** A Glance server that shows the image's location, and counts how often its bytes are asked for. */
async function glanceWithLocations(t: TestContext, { locations = [], record = {}, size = bytes.length }: Told) {
  const { algorithm, hex } = digestOf(bytes);
  const told = { id, name: 'told', status: 'active', disk_format: 'raw', container_format: 'bare', size, ...record };
  const server = await imageServer(t, [
    (request, response) => {
      if (request.url?.endsWith('/file')) return serve(bytes)(request, response);
      if (!request.url?.endsWith('/locations'))
        return response.end(JSON.stringify({ ...told, os_hash_algo: algorithm, os_hash_value: hex }));
      return typeof locations === 'function' ? locations(request, response) : response.end(JSON.stringify(locations));
    },
  ]);
  const fetches = (): number => server.requests.filter((request) => request.endsWith('/file')).length;
  const asks = (): number => server.requests.filter((request) => request.endsWith('/locations')).length;
  const settings = { ...direct, apiServers: [server.url] };
  return { server, image: await described(id, server.url), fetches, asks, settings };
}

async function forget({ partPath }: Roots): Promise<void> {
  await rm(partPath, { force: true });
  await rm(`${partPath}.json`, { force: true });
}

async function isWhole({ partPath }: Roots): Promise<void> {
  assert.ok((await readFile(partPath)).equals(bytes), 'the part is the image');
}

describe('an image whose location Glance shows', () => {
  test('is copied from there, wherever Glance shows it, and its bytes are never asked for', async (t) => {
    const where = await folders(t);
    const file = join(where.root, 'stored image');
    await writeFile(file, bytes);
    const url = `file://${encodeURI(file)}`;
    const tellings: Told[] = [
      { locations: [{ url, metadata: {} }] },
      { locations: [{ url: 'rbd://fsid/pool/image/snap' }, { url: `file://${where.root}/absent` }, { url }] },
      { locations: [{ url: `file://${file}` }] },
      { record: { direct_url: url } },
      { record: { locations: [{ url }] } },
      { record: { direct_url: 'rbd://fsid/pool/image/snap', locations: [{ url }] } },
      { locations: [{ url }], size: null },
    ];
    for (const telling of tellings) {
      const { image, fetches, settings } = await glanceWithLocations(t, telling);
      await forget(where);
      const made = await fetchImage(where, image, { glance: settings });
      assert.deepEqual(made, { sizeBytes: bytes.length, resumedAtBytes: 0 }, JSON.stringify(telling));
      await isWhole(where);
      assert.equal(fetches(), 0);
    }
  });

  test('comes through the API where the place is none that the host allows, and the result says why', async (t) => {
    const where = await folders(t);
    const outside = join(where.directory, 'outside.raw');
    await writeFile(outside, bytes);
    await symlink(outside, join(where.root, 'link'));
    await symlink(where.directory, join(where.root, 'folder'));
    await writeFile(join(where.root, 'short'), bytes.subarray(0, 2 * mebibyte));
    await runProgram('mkfifo', [join(where.root, 'pipe')], { timeoutMs: 5000 });
    const only = (url: unknown): Told => ({ locations: [{ url }] });
    const tellings: [Told, RegExp][] = [
      [only(`file://${outside}`), /in none of the folders/],
      [only(`file://${where.root}/link`), /in none of the folders/],
      [only(`file://${where.root}/folder/outside.raw`), /in none of the folders/],
      [only(`file://${where.root}/../outside.raw`), /in none of the folders/],
      [only(`file://${where.root}/%2e%2e/outside.raw`), /in none of the folders/],
      [only(`file://${where.root}/x%00`), /in none of the folders/],
      [only(`file://${where.root}/short`), /2097152 bytes, the image 3145805/],
      [only(`file://${where.root}/absent`), /does not exist/],
      [only(`file://${where.root}/pipe`), /not a regular file/],
      [only(`file://other-host${outside}`), /is a file on this host/],
      [only('rbd://fsid/pool/image/snap'), /is a file on this host/],
      [{ locations: [{ url: 7 }, null, 'file:///', { url: 'file://%zz' }] }, /is a file on this host/],
      [{ locations: [] }, /shows no location/],
      [{ locations: say(403) }, /shows no location/],
      [{ locations: say(404) }, /shows no location/],
      [{ locations: say(501) }, /shows no location/],
      [{ locations: say(200, {}, '<html>') }, /not JSON/],
      [{ locations: (request) => request.destroy() }, /did not show its locations/],
    ];
    for (const [telling, reason] of tellings) {
      const { image, fetches, settings } = await glanceWithLocations(t, telling);
      await forget(where);
      const { notDirect = '' } = await fetchImage(where, image, { glance: settings });
      await isWhole(where);
      assert.equal(fetches(), 1, JSON.stringify(telling));
      assert.match(notDirect, reason);
      assert.ok(!notDirect.includes(where.directory), `${notDirect} names a path of the host`);
    }
  });

  test('comes through the API when the file there is not the image', async (t) => {
    const where = await folders(t);
    const file = join(where.root, 'tampered');
    await writeFile(file, randomBytes(bytes.length));
    const { image, fetches, settings } = await glanceWithLocations(t, { locations: [{ url: `file://${file}` }] });
    await assert.rejects(fetchImage(where, image, { glance: settings }), { code: 'SourceChanged' });
    await fetchImage(where, image, { glance: settings });
    assert.equal(fetches(), 1);
    await isWhole(where);
  });

  test('is not refused for what a file has that only says to be the image', async (t) => {
    const where = await folders(t);
    const file = join(where.root, 'hostile');
    const args = ['create', '-q', '-f', 'qcow2', '-u', '-F', 'raw', '-b', '/etc/hostname', file, '1G'];
    await runProgram('qemu-img', args, { timeoutMs: 120_000 });
    await truncate(file, bytes.length);
    const { image, fetches, settings } = await glanceWithLocations(t, { locations: [{ url: `file://${file}` }] });
    assert.notEqual((await fetchImage(where, image, { glance: settings })).notDirect, undefined);
    assert.equal(fetches(), 1);
    await isWhole(where);
  });

  test('comes through the API when its file breaks off in the middle', async (t) => {
    const where = await folders(t);
    const mounted = await mountedDisk(t, where, ['mkfs.ext4', '-q', '-b', '4096', '-O', '^has_journal'], 32 * mebibyte);
    if (typeof mounted === 'string') return t.skip(mounted);
    const file = join(mounted.mount, 'image.raw');
    await writeFile(file, bytes);
    await runProgram('umount', [mounted.mount], { timeoutMs: 120_000 });
    await runProgram('mount', ['-o', 'loop,ro', mounted.disk, mounted.mount], { timeoutMs: 120_000 });
    const { stdout } = await runProgram('filefrag', ['-v', '-b4096', file], { timeoutMs: 120_000 });
    const start = Number(stdout.match(/ 0: +0\.\. +\d+: +(\d+)\.\./)?.[1]) * 4096;
    // The disk has lost its end, and with it what follows the file's head.
    await truncate(mounted.disk, start + 2 * mebibyte);
    const url = `file://${file}`;
    const { image, fetches, settings } = await glanceWithLocations(t, { locations: [{ url }] });
    const { notDirect } = await fetchImage({ ...where, root: mounted.mount }, image, { glance: settings });
    assert.match(notDirect ?? '', /Input\/output error/);
    assert.equal(fetches(), 1);
    await isWhole(where);
  });

  test('is looked for on the next server while others are down', async (t) => {
    const where = await folders(t);
    const file = join(where.root, 'image');
    await writeFile(file, bytes);
    const { image, fetches, settings } = await glanceWithLocations(t, { locations: [{ url: `file://${file}` }] });
    // They are asked in random order.
    const down = [1, 2, 3, 4, 5, 6, 7].map((port) => `http://127.0.0.1:${port}`);
    const apiServers = [...down, ...settings.apiServers];
    await fetchImage(where, image, { glance: { ...settings, apiServers } });
    assert.equal(fetches(), 0);
    await isWhole(where);
  });

  test('is not looked for where the host allows no scheme, nor on another Glance than its own', async (t) => {
    const where = await folders(t);
    const file = join(where.root, 'image');
    await writeFile(file, bytes);
    const locations = [{ url: `file://${file}` }];
    const { image, fetches, asks, settings, server } = await glanceWithLocations(t, { locations });
    const plain = await fetchImage(where, image, { glance: { apiServers: [server.url] } });
    assert.equal(plain.notDirect, undefined);
    assert.equal(fetches(), 1);
    await forget(where);
    const byUrl = { ...image, reference: { glance: `${server.url}/v2/images/${id}` } };
    const foreign = { ...settings, apiServers: ['http://127.0.0.1:1'] };
    assert.match((await fetchImage(where, byUrl, { glance: foreign })).notDirect ?? '', /api_servers/);
    assert.equal(fetches(), 2);
    assert.equal(asks(), 0);
    await forget(where);
    await fetchImage(where, byUrl, { glance: settings });
    assert.deepEqual([fetches(), asks()], [2, 1], 'by its URL on the host’s own Glance it is');
  });
});

describe('an image in the file store of a real Glance', () => {
  let glance: TestGlance;
  before(async () => {
    glance = await startGlance();
  });
  after(() => glance.stop());

  /** The image in the store, behind something that counts. */
  async function stored(t: TestContext) {
    const where = { ...(await folders(t)), root: join(glance.folder, 'images') };
    const upload = join(where.directory, 'upload.raw');
    await writeFile(upload, bytes);
    const image = await glance.upload(upload, { name: 'stored', disk_format: 'raw' });
    const front = await forwarder(t, glance.endpoint);
    const fetches = (): number => front.requests.filter(({ path }) => path.endsWith('/file')).length;
    const settings = { ...direct, apiServers: [front.url] };
    return { where, file: join(where.root, image), image: await described(image, front.url), fetches, settings };
  }

  test('is copied from the store, past the API', async (t) => {
    const { where, image, fetches, settings } = await stored(t);
    assert.deepEqual(await fetchImage(where, image, { glance: settings }), {
      sizeBytes: bytes.length,
      resumedAtBytes: 0,
    });
    await isWhole(where);
    assert.equal(fetches(), 0);
  });

  test('comes through the API where the store is not in the roots, or the file is a link that leads out of them', async (t) => {
    const { where, file, image, fetches, settings } = await stored(t);
    const elsewhere = { ...where, root: where.directory };
    const outside = await fetchImage(elsewhere, image, { glance: settings });
    assert.match(outside.notDirect ?? '', /in none of the folders/);
    assert.equal(fetches(), 1);
    await forget(where);
    const moved = join(where.directory, 'moved');
    await runProgram('mv', [file, moved], { timeoutMs: 120_000 });
    await symlink(moved, file);
    const linked = await fetchImage(where, image, { glance: settings });
    assert.match(linked.notDirect ?? '', /in none of the folders/);
    assert.equal(fetches(), 2);
    await isWhole(where);
    await rm(file);
    await runProgram('mv', [moved, file], { timeoutMs: 120_000 });
  });

  test('that was changed in the store is fetched once through the API, whose answer is final', async (t) => {
    const { where, file, image, fetches, settings } = await stored(t);
    const changed = await open(file, 'r+');
    await changed.write('changed', 0);
    await changed.close();
    await assert.rejects(fetchImage(where, image, { glance: settings }), { code: 'SourceChanged' });
    assert.equal(fetches(), 0);
    await assert.rejects(fetchImage(where, image, { glance: settings }), { code: 'ImageDigestMismatch' });
    assert.equal(fetches(), 1);
  });
});
