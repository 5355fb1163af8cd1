import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blankCacheName, imageCacheName } from '../../hypervisor/image-store/cache-name.ts';

const device = { name: 'disk', format: 'qcow2', device: 'vdb', bus: 'virtio' } as const;
const id = 'c1f0e1a2-0000-4000-8000-5f3b1c2d4e5f';

test('an image of the own Glance is named by the SHA-1 of its id, as in Nova', () => {
  assert.equal(imageCacheName({ reference: { glance: 'test' } }, 'root'), 'a94a8fe5ccb19ba61c4c0873d391e987982fbbd3');
});

test('an image of another Glance is named by its whole address, and a boot file never as a disk', () => {
  const reference = { glance: `http://glance.example:9292/v2/images/${id}` };
  const name = imageCacheName({ reference }, 'root');
  assert.match(name, /^[0-9a-f]{40}$/);
  assert.notEqual(name, imageCacheName({ reference: { glance: id } }, 'root'));
  assert.notEqual(imageCacheName({ reference }, 'kernel'), name);
  const url = { url: 'https://example.org/a', digest: `sha256:${'ab'.repeat(32)}`, format: 'raw' } as const;
  assert.notEqual(imageCacheName({ reference: url }, 'ramdisk'), imageCacheName({ reference: url }, 'root'));
});

test('kernel and ramdisk are named by their plain id', () => {
  assert.equal(imageCacheName({ reference: { glance: id } }, 'kernel'), id);
  assert.equal(imageCacheName({ reference: { glance: id } }, 'ramdisk'), id);
});

test('only a UUID is a file name as it is: nothing leaves the cache, or takes the name of another file in it', () => {
  const otherFile = imageCacheName({ reference: { glance: id } }, 'root');
  assert.notEqual(imageCacheName({ reference: { glance: otherFile } }, 'kernel'), otherFile);
  for (const glance of ['..', '../x', 'a/b', 'swap_512', ''])
    assert.match(imageCacheName({ reference: { glance } }, 'kernel'), /^[0-9a-f]{40}$/);
});

test('a URL and a file with the same digest are the same file in the cache', () => {
  const digest = `sha256:${'ab'.repeat(32)}`;
  const url = imageCacheName({ reference: { url: 'https://example.org/a.qcow2', digest, format: 'qcow2' } }, 'root');
  const file = imageCacheName({ reference: { file: '/srv/images/b.qcow2', digest, format: 'qcow2' } }, 'root');
  assert.equal(url, file);
  assert.match(url, /^[0-9a-f]{40}$/);
});

test('an ephemeral base is named by everything that shapes it', () => {
  const shape = {
    ...device,
    kind: 'ephemeral',
    sizeBytes: 20 * 2 ** 30,
    fileSystem: 'ext4',
    label: 'ephemeral0',
  } as const;
  const name = blankCacheName(shape, {});
  // A host has such files from earlier releases, and disks that they back.
  assert.equal(name, 'ephemeral_20_54558a0');
  assert.equal(blankCacheName({ ...shape }, {}), name);
  assert.notEqual(blankCacheName({ ...shape, label: 'ephemeral1' }, {}), name);
  assert.notEqual(blankCacheName({ ...shape, fileSystem: 'vfat' }, {}), name);
  const linux = { ...shape, osType: 'linux' } as const;
  assert.equal(blankCacheName(linux, {}), name, 'the os type alone shapes nothing');
  const own = blankCacheName(linux, { virtMkfs: ['linux=mkfs.ext4 -L %(fs_label)s %(target)s'] });
  const other = blankCacheName(linux, { virtMkfs: ['linux=mkfs.ext4 -I 512 -L %(fs_label)s %(target)s'] });
  assert.equal(new Set([name, own, other]).size, 3);
});

test('a swap area is named by its size', () => {
  assert.equal(blankCacheName({ ...device, kind: 'swap', sizeBytes: 512 * 2 ** 20 }, {}), 'swap_512');
});

test('an image without a digest is named by its place, and by what its source says of its state', () => {
  const reference = { url: 'https://example.org/a.qcow2', format: 'qcow2' } as const;
  const name = imageCacheName({ reference, version: '"one"' }, 'root');
  assert.match(name, /^[0-9a-f]{40}$/);
  assert.notEqual(imageCacheName({ reference, version: '"two"' }, 'root'), name);
  assert.notEqual(imageCacheName({ reference }, 'root'), name);
});
