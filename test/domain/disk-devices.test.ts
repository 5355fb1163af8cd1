import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstFreeDevice } from '../../domain/disk-devices.ts';
import type { DiskBus } from '../../domain/disk-plan.ts';

/** The names that so many devices on one bus get, one after the other. */
function deviceNames(bus: DiskBus, count: number): string[] {
  const names: string[] = [];
  for (let index = 0; index < count; index += 1) names.push(firstFreeDevice(bus, (name) => names.includes(name)));
  return names;
}

test('device names continue with two letters after z', () => {
  const names = deviceNames('virtio', 703);
  assert.deepEqual(
    [names[0], names[25], names[26], names[52], names[701], names[702]],
    ['vda', 'vdz', 'vdaa', 'vdba', 'vdzz', 'vdaaa'],
  );
});

test('a fifth IDE device is refused', () => {
  assert.deepEqual(deviceNames('ide', 4), ['hda', 'hdb', 'hdc', 'hdd']);
  assert.throws(() => deviceNames('ide', 5), /no place for more than 4/);
});

test('a disk in a container has no name, however many there are', () => {
  assert.deepEqual(deviceNames('lxc', 2), ['', '']);
});
