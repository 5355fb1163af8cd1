import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { PlannedRootDisk } from '../../../domain/disk-plan.ts';
import { EverbootFailure, type FailureCode } from '../../../domain/failures.ts';
import type { WorkControl } from '../../../domain/step-progress.ts';
import { rbdBackend } from '../../../hypervisor/backends/rbd-backend.ts';
import { type CephCluster, cephCluster, cephFsid } from '../../../hypervisor/programs/ceph.ts';
import { createRbdImage, listRbdImages, rbdImageSize, removeRbdImage } from '../../../hypervisor/programs/rbd.ts';
import { cephImagePool, cephPool, startCeph, type TestCeph } from '../../fixtures/ceph.ts';
import { cephSettings, newCephInstance, setFull } from '../../fixtures/ceph-host.ts';
import { freePort } from '../../fixtures/free-port.ts';
import { makeRawImage } from '../../fixtures/images.ts';

const mebibyte = 2 ** 20;
const { signal } = new AbortController();
const control: WorkControl = { signal, onProgress: () => undefined };

let ceph: TestCeph;
let cluster: CephCluster;
before(async () => {
  ceph = await startCeph();
  cluster = cephCluster(await cephSettings(ceph));
});
after(async () => {
  await ceph?.stop();
});

function failsWith(code: FailureCode, words = /./) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code && words.test(error.message);
}

const list = (of: CephCluster, pool = cephPool) => listRbdImages(of, pool, { signal });

test('a cluster reports its id', async () => {
  assert.equal(await cephFsid(cluster, signal), ceph.fsid);
});

test('an image that is absent is an answer; a pool, a user, a right or a configuration that is absent is none', async () => {
  assert.equal(await rbdImageSize(cluster, { pool: cephPool, image: 'absent' }, { signal }), undefined);
  await removeRbdImage(cluster, { pool: cephPool, image: 'absent' }, { signal });

  const size = (of: CephCluster, pool = cephPool) => rbdImageSize(of, { pool, image: 'absent' }, { signal });
  await assert.rejects(size(cluster, 'nopool'), failsWith('HostUnsuitable', /nopool/));
  await assert.rejects(size({ ...cluster, user: 'nobody' }), failsWith('HostUnsuitable', /the user nobody/));
  await assert.rejects(size({ ...cluster, conf: '/nonexistent.conf' }), failsWith('HostUnsuitable', /nonexistent/));
  const forbidden = createRbdImage(cluster, { pool: cephImagePool, image: 'mine' }, mebibyte, { signal });
  await assert.rejects(forbidden, failsWith('HostUnsuitable', /the user everboot/));
  await assert.rejects(cephFsid({ ...cluster, conf: '/nonexistent.conf' }, signal), failsWith('HostUnsuitable'));
});

test('monitors that nobody reaches are StorageUnavailable', async () => {
  const port = await freePort();
  const conf = join(ceph.folder, 'nowhere.conf');
  const text = await readFile(ceph.conf, 'utf8');
  await writeFile(conf, text.replace(/^mon host.*$/m, `mon host = v1:127.0.0.1:${port}`));
  await assert.rejects(list({ ...cluster, conf }), failsWith('StorageUnavailable', /timed out/));
  await assert.rejects(cephFsid({ ...cluster, conf }, signal), failsWith('StorageUnavailable'));
});

test('a full cluster is InsufficientSpace in its own words, and removes nothing without saying so', async () => {
  const name = { pool: cephPool, image: 'stays' };
  await createRbdImage(cluster, name, mebibyte, { signal });
  await setFull(ceph, true);
  const creating = createRbdImage(cluster, { pool: cephPool, image: 'late' }, mebibyte, { signal });
  await assert.rejects(creating, failsWith('InsufficientSpace', /1 full osd/));
  await assert.rejects(removeRbdImage(cluster, name, { signal }), failsWith('InsufficientSpace'));
  assert.deepEqual(await list(cluster), ['stays']);
  await setFull(ceph, false);
  await removeRbdImage(cluster, name, { signal });
  assert.deepEqual(await list(cluster), []);
});

test('a dead OSD is waited for so long and no longer, and the step succeeds when it is back', async () => {
  const { path } = await makeRawImage(ceph.folder, 'base', 16 * mebibyte);
  const base = { cacheName: 'base', path, format: 'raw', virtualSizeBytes: 16 * mebibyte } as const;
  const kept = { format: 'raw', storage: 'rbd', device: 'vda', bus: 'virtio' } as const;
  const disk: PlannedRootDisk = { kind: 'root', name: 'disk', ...kept, sizeBytes: 32 * mebibyte };
  const backend = rbdBackend(await cephSettings(ceph));
  const context = await newCephInstance(ceph);
  await ceph.killOsd();
  await assert.rejects(backend.makeRoot(disk, base, context, control), failsWith('StorageUnavailable'));
  await assert.rejects(backend.removeDisks(context.claim, control), failsWith('StorageUnavailable'));
  await ceph.startOsd();
  const made = await backend.makeRoot(disk, base, context, control);
  assert.equal(made.virtualSizeBytes, 32 * mebibyte);
  await backend.removeDisks(context.claim, control);
  assert.deepEqual(
    (await list(cluster)).filter((name) => name.startsWith(context.claim.instanceId)),
    [],
  );
});

test('an OSD that dies in the middle of an import leaves no base, and the next run makes one', async () => {
  const sizeBytes = 256 * mebibyte;
  const { path } = await makeRawImage(ceph.folder, 'large', sizeBytes);
  const base = { cacheName: 'large', path, format: 'raw', virtualSizeBytes: sizeBytes } as const;
  const kept = { format: 'raw', storage: 'rbd', device: 'vda', bus: 'virtio' } as const;
  const disk: PlannedRootDisk = { kind: 'root', name: 'disk', ...kept, sizeBytes: null };
  const backend = rbdBackend(await cephSettings(ceph));
  const context = await newCephInstance(ceph);
  let killed: Promise<void> | undefined;
  const onProgress = ({ doneBytes }: { readonly doneBytes: number }): void => {
    if (doneBytes > 32 * mebibyte) killed ??= ceph.killOsd();
  };
  await assert.rejects(backend.makeRoot(disk, base, context, { signal, onProgress }), failsWith('StorageUnavailable'));
  await killed;
  await ceph.startOsd();
  const bases = (await list(cluster)).filter((name) => name.startsWith('everboot_base_large_'));
  assert.ok(
    bases.every((name) => name.endsWith('.everboot-tmp')),
    bases.join(', '),
  );
  await backend.makeRoot(disk, base, context, control);
  await backend.removeDisks(context.claim, control);
  const left = (await list(cluster)).filter((name) => name.endsWith('.everboot-tmp'));
  assert.deepEqual(left, []);
});
