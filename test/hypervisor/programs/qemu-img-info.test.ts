import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseImageInfo } from '../../../hypervisor/programs/qemu-img-info.ts';

const plain = { filename: '/images/a', format: 'vmdk', 'virtual-size': 1024 };

test('an extent in another file is reported as a data file', () => {
  const extents = (...names: string[]) => ({ data: { extents: names.map((filename) => ({ filename })) } });
  const parse = (specific: object) => parseImageInfo(JSON.stringify({ ...plain, 'format-specific': specific }));
  assert.equal(parse(extents('/images/a')).dataFile, undefined);
  assert.equal(parse(extents('/images/a', '/etc/shadow')).dataFile, '/etc/shadow');
});

test('an encrypted and a damaged image say so', () => {
  const info = { ...plain, encrypted: true, 'format-specific': { data: { corrupt: true } } };
  const { isEncrypted, isCorrupt } = parseImageInfo(JSON.stringify(info));
  assert.deepEqual([isEncrypted, isCorrupt], [true, true]);
});

test('sizes that are no whole number of bytes, or too large to count, are not read', () => {
  for (const size of ['-1', '1.5', '9007199254740993', '"1"']) {
    assert.throws(() => parseImageInfo(`{"filename":"a","format":"raw","virtual-size":${size}}`), size);
  }
  assert.throws(() => parseImageInfo('{"format":'));
});
