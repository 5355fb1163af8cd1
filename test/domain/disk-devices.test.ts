import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceNaming } from '../../domain/disk-devices.ts';

test('device names go on with two letters after z', () => {
  const nameDevice = deviceNaming();
  const names = Array.from({ length: 703 }, () => nameDevice('virtio'));
  assert.deepEqual(
    [names[0], names[25], names[26], names[52], names[701], names[702]],
    ['vda', 'vdz', 'vdaa', 'vdba', 'vdzz', 'vdaaa'],
  );
});

test('a fifth IDE device is refused', () => {
  const nameDevice = deviceNaming();
  for (const name of ['hda', 'hdb', 'hdc', 'hdd']) assert.equal(nameDevice('ide'), name);
  assert.throws(() => nameDevice('ide'), /no place for more than 4/);
});
