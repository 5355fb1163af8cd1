import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import type { GlanceSettings, LibvirtSettings } from '../../domain/configuration.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { ImageDescription } from '../../domain/image.ts';
import { rbdBackend } from '../../hypervisor/backends/rbd-backend.ts';
import { findCloneSource, parseRbdLocation } from '../../hypervisor/backends/rbd-clone-source.ts';
import { writeFacts } from '../../hypervisor/image-store/base-facts.ts';
import { imageCacheName } from '../../hypervisor/image-store/cache-name.ts';
import { cephImagePool, cephPool, startCeph, type TestCeph } from '../fixtures/ceph.ts';
import { cephSettings, newCephInstance } from '../fixtures/ceph-host.ts';
import { glanceSettings, imageServer } from '../fixtures/image-server.ts';
import { makeRawImage } from '../fixtures/images.ts';

const id = 'c1f0e1a2-0000-4000-8000-5f3b1c2d4e5f';
const otherFsid = '00000000-0000-4000-8000-000000000000';
const signal = AbortSignal.timeout(300_000);

let ceph: TestCeph;
let libvirt: LibvirtSettings;
before(async () => {
  ceph = await startCeph();
  libvirt = await cephSettings(ceph);
  await ceph.rbd('create', '--size', '8M', `${cephImagePool}/${id}`);
  for (const snapshot of ['snap', 'unprotected']) {
    await ceph.rbd('snap', 'create', '--no-progress', `${cephImagePool}/${id}@${snapshot}`);
  }
  await ceph.rbd('snap', 'protect', `${cephImagePool}/${id}@snap`);
});
after(async () => {
  await ceph?.stop();
});

interface Asked {
  readonly locations: readonly unknown[];
  readonly image?: Partial<ImageDescription>;
  readonly glance?: Partial<GlanceSettings>;
  readonly libvirt?: Partial<LibvirtSettings>;
}

/** Finds the source for an image of which Glance shows these locations. */
async function find(t: TestContext, { locations, image, glance, libvirt: changes }: Asked) {
  const record = { id, locations: locations.map((url) => ({ url, metadata: {} })) };
  const server = await imageServer(t, [(_request, response) => response.end(JSON.stringify(record))]);
  const described: ImageDescription = {
    ...{ reference: { glance: id }, title: 'stored', format: 'raw', sizeBytes: 8 * 2 ** 20, digest: null },
    ...{ minDiskGb: 0, minRamMb: 0, properties: {}, ...image },
  };
  const sources = { glance: glanceSettings({ apiServers: [server.url], ...glance }), fileImageRoots: [] };
  const source = await findCloneSource(described, { libvirt: { ...libvirt, ...changes }, sources }, signal);
  return { source, asked: server.requests.length };
}

const here = (snapshot = 'snap', image = id): string => `rbd://${ceph.fsid}/${cephImagePool}/${image}/${snapshot}`;

test('an image is cloned from the first of its places that is a protected snapshot in the host’s own cluster', async (t) => {
  const snapshot = { pool: cephImagePool, image: id, snapshot: 'snap' };
  const elsewhere = here().replace(ceph.fsid, otherFsid);
  for (const locations of [[here()], ['file:///image', 7, elsewhere, here('unprotected'), here('absent'), here()]]) {
    assert.deepEqual((await find(t, { locations })).source, snapshot);
  }
});

test('any other image is fetched', async (t) => {
  const locations = [here()];
  const others: readonly Asked[] = [
    { locations: [] },
    { locations: [here().replace(ceph.fsid, otherFsid)] },
    { locations: [here('unprotected')] },
    { locations: [here('absent')] },
    { locations: [here('snap', 'absent')] },
    { locations, image: { format: 'qcow2' } },
    { locations, image: { format: 'iso' } },
  ];
  for (const other of others) assert.equal((await find(t, other)).source, null, JSON.stringify(other));
});

test('Glance is not even asked where nothing would be cloned', async (t) => {
  const locations = [here()];
  const others: readonly Asked[] = [
    { locations, image: { reference: { url: 'https://images.example/i', format: 'raw' } } },
    { locations, image: { reference: { glance: `http://127.0.0.1:1/v2/images/${id}` } } },
    { locations, glance: { verifyGlanceSignatures: true } },
    { locations, libvirt: { imagesType: 'qcow2' } },
  ];
  for (const other of others) assert.deepEqual(await find(t, other), { source: null, asked: 0 }, JSON.stringify(other));
});

test('an image that any host has imported is neither fetched nor imported again', async (t) => {
  const digest = { algorithm: 'sha256', hex: 'ab'.repeat(32) } as const;
  const described: Partial<ImageDescription> = { format: 'qcow2', digest };
  assert.equal((await find(t, { locations: [], image: described })).source, null, 'not yet');

  const context = await newCephInstance(ceph);
  const image = { reference: { glance: id }, title: 'stored', format: 'qcow2', sizeBytes: null, digest } as const;
  const cacheName = imageCacheName(image, 'root');
  const { path } = await makeRawImage(ceph.folder, cacheName, 2 ** 20);
  const base = { cacheName, path, format: 'raw', virtualSizeBytes: 2 ** 20 } as const;
  const order = {
    role: 'root',
    cacheName,
    forceRaw: true,
    image: { ...image, minDiskGb: 0, minRamMb: 0, properties: {} },
  } as const;
  await writeFacts(context.paths, order, { from: 'converted', ...base, fileSizeBytes: 2 ** 20 });
  const kept = { format: 'raw', storage: 'rbd', device: 'vda', bus: 'virtio' } as const;
  const disk = { kind: 'root', name: 'disk', ...kept, sizeBytes: null } as const;
  await rbdBackend(libvirt).makeRoot(disk, base, context, { signal, onProgress: () => undefined });

  const { source } = await find(t, { locations: [], image: described });
  assert.match(source?.image ?? '', /^everboot_base_[0-9a-f]{40}_[0-9a-f]{8}$/);
  assert.deepEqual([source?.pool, source?.snapshot], [cephPool, 'everboot']);
  const cloned = await newCephInstance(ceph);
  const planned = { ...disk, ...(source && { clone: source }) };
  await rbdBackend(libvirt).makeRoot(planned, null, cloned, { signal, onProgress: () => undefined });
  const other = { ...described, digest: { ...digest, hex: 'cd'.repeat(32) } };
  assert.equal((await find(t, { locations: [], image: other })).source, null, 'other bytes under the same id');
  const signed = { verifyGlanceSignatures: true };
  assert.equal((await find(t, { locations: [], image: described, glance: signed })).source, null);
});

test('Glance without locations is no failure, Ceph without an answer is one', async (t) => {
  const silent = { apiServers: ['http://127.0.0.1:1'] };
  assert.equal((await find(t, { locations: [], glance: silent })).source, null);
  const asking = find(t, { locations: [here()], libvirt: { imagesRbdCephConf: '/nonexistent.conf' } });
  await assert.rejects(asking, (error: unknown) => error instanceof EverbootFailure && error.code === 'HostUnsuitable');
});

test('nothing in a location is more than a name', () => {
  assert.deepEqual(parseRbdLocation('rbd://f/images/a%2Db/snap'), [
    { fsid: 'f', pool: 'images', image: 'a-b', snapshot: 'snap' },
  ]);
  const refused = [
    ...[undefined, 7, '', 'rbd:', 'rbd://', 'rbd://image', 'file://f/p/i/s', 'rbd://f/p/i', 'rbd://f/p/i/s/x'],
    ...['rbd:///p/i/s', 'rbd://f//i/s', 'rbd://f/p/i/', 'rbd://f/p%2Fq/i/s', 'rbd://f/p/i%40t/s', 'rbd://f/p/--conf/s'],
    ...['rbd://f/p/i/%zz', 'rbd://f/p/i%00/s', 'rbd://f/p/i s/s', `rbd://f/p/${'i'.repeat(300)}/s`, 'rbd://f/../i/s'],
  ];
  for (const location of refused) assert.deepEqual(parseRbdLocation(location), [], String(location));
});
