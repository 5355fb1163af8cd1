import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VolumeSource } from '../../domain/disk-plan.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { refuseForeignVolume, type VolumeSettings } from '../../domain/volume-rules.ts';

const nothing: VolumeSettings = { volumeDeviceRoots: [], volumeServers: [], volumeRbdPools: [] };
const instance = '0f3a5b1c-2d4e-4f60-8a7b-9c0d1e2f3a4b';

function refusal(words: RegExp, remedy: RegExp) {
  return (error: unknown) =>
    error instanceof EverbootFailure &&
    error.code === 'HostUnsuitable' &&
    words.test(error.message) &&
    remedy.test(error.remedy);
}

const sources: readonly (readonly [VolumeSource, RegExp])[] = [
  [{ block: '/dev/disk/by-id/a' }, /volume_device_roots/],
  [{ nbd: { host: 'storage-1', port: 10809, export: '' } }, /volume_servers/],
  [{ rbd: { pool: 'volumes', image: 'a' } }, /volume_rbd_pools/],
];

test('a host that names no place for volumes refuses each, and says which option would allow it', () => {
  for (const [source, option] of sources) {
    assert.throws(() => refuseForeignVolume(source, nothing), refusal(option, option));
  }
});

test('a volume is accepted from the places that the host names, and from nowhere else', () => {
  const settings = {
    volumeDeviceRoots: ['/dev/disk/by-id'],
    volumeServers: ['Storage-1', '::1'],
    volumeRbdPools: ['volumes'],
  };
  for (const [source] of sources) refuseForeignVolume(source, settings);
  refuseForeignVolume({ nbd: { host: '::1', port: 1, export: '' } }, settings);
  for (const source of [
    { block: '/dev/disk/by-id-not/a' },
    { block: '/dev/disk/by-id' },
    { block: '/dev/sda' },
    { nbd: { host: 'storage-10', port: 10809, export: '' } },
    { rbd: { pool: 'volumes2', image: 'a' } },
  ]) {
    assert.throws(() => refuseForeignVolume(source, settings), refusal(/not in the host’s/, /Add/));
  }
});

test('a disk that was made for instances is no volume, whoever allows its place', () => {
  const settings = { volumeDeviceRoots: ['/dev/nova'], volumeServers: [], volumeRbdPools: ['vms'] };
  for (const source of [
    { block: `/dev/nova/${instance}_disk` },
    { block: `/dev/nova/${instance}_disk.eph0` },
    { rbd: { pool: 'vms', image: `${instance}_disk.swap` } },
    { rbd: { pool: 'vms', image: `${instance}_disk.rescue` } },
    { block: `/dev/nova/everboot_base_${'a'.repeat(40)}_01234567` },
    { rbd: { pool: 'vms', image: `everboot_base_${'a'.repeat(40)}_01234567` } },
  ]) {
    assert.throws(() => refuseForeignVolume(source, settings), refusal(/made for instances/, /no instance/));
  }
  refuseForeignVolume({ rbd: { pool: 'vms', image: `volume-${instance}` } }, settings);
});
