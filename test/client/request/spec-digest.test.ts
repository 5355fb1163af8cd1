import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalJson, specDigest } from '../../../client/request/spec-digest.ts';
import type { Flavor } from '../../../domain/flavors.ts';
import type { InstanceSecrets, InstanceSpec } from '../../../domain/spec.ts';

const flavor: Flavor = { name: 'm1.tiny', vcpus: 1, memoryMb: 512, rootGb: 1, ephemeralGb: 0, swapMb: 0 };
const spec: InstanceSpec = {
  id: '6f6c1a0e-5d43-4b0e-9c2f-1d2f6a1c7b11',
  name: 'web-1',
  project: '',
  user: '',
  availabilityZone: '',
  hostname: 'web-1',
  flavor: 'm1.tiny',
  configDrive: true,
  metadata: { a: '1', b: '2' },
  sshKeys: [],
  interfaces: [],
  boot: 'running',
  onFailure: 'undo',
};

function digest(more: Partial<InstanceSpec> = {}, secrets: InstanceSecrets = {}, of: Flavor = flavor): string {
  return specDigest({ ...spec, ...more }, of, secrets);
}

test('the order of keys makes no difference', () => {
  assert.equal(digest({ metadata: { b: '2', a: '1' } }), digest());
  assert.equal(canonicalJson({ b: [1, { d: null, c: undefined }], a: 'x' }), '{"a":"x","b":[1,{"d":null}]}');
});

test('anything that is not secret makes another request', () => {
  const all = [
    digest(),
    digest({ name: 'web-2' }),
    digest({ boot: 'disks' }),
    digest({ metadata: { a: '1' } }),
    digest({}, {}, { ...flavor, swapMb: 64 }),
    digest({}, { adminPassword: 'x' }),
    digest({}, { userData: 'eA==' }),
    digest({}, { files: [{ path: '/a', base64: 'eA==' }] }),
    digest({}, { files: [{ path: '/b', base64: 'eA==' }] }),
    digest({}, { vendorData: {} }),
    digest({ launchIndex: 1 }),
  ];
  assert.equal(new Set(all).size, all.length);
});

test('the value of a secret, the name of a flavor and the host take no part', () => {
  assert.equal(digest({}, { adminPassword: 'x' }), digest({}, { adminPassword: 'y' }));
  const [one, other] = ['eA==', 'eQ=='].map((base64) => digest({}, { files: [{ path: '/a', base64 }] }));
  assert.equal(one, other);
  assert.equal(digest({ flavor: 'tiny' }, {}, { ...flavor, name: 'tiny' }), digest());
  assert.equal(digest({ host: 'host-a' }), digest());
  assert.equal(digest({ hosts: ['host-a', 'host-b'] }), digest());
  assert.equal(digest({}, { vendorData: { a: 1 } }), digest({}, { vendorData: {} }));
});

test('a secret that is sealed counts as one in plain, but for files, whose paths nobody can read', () => {
  const sealed = { sealed: 'a.b.c.d.e' };
  assert.equal(specDigest(spec, flavor, {}, { adminPassword: sealed }), digest({}, { adminPassword: 'x' }));
  assert.equal(specDigest(spec, flavor, {}, { userData: sealed }), digest({}, { userData: 'eA==' }));
  assert.equal(specDigest(spec, flavor, {}, { vendorData: sealed }), digest({}, { vendorData: {} }));
  assert.notEqual(specDigest(spec, flavor, {}, { files: sealed }), digest());
});

test('a field that an earlier release did not have leaves its requests what they were', () => {
  assert.equal(digest({ launchIndex: 0 }), digest());
  assert.equal(digest(), '77a359770726215d66670fa4cca936e1d55dbec5df79cf37ea49ee9f2655fd0c');
});
