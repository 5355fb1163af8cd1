import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkVolumeGroup } from '../../../hypervisor/backends/lvm-volume.ts';
import { createVolume } from '../../../hypervisor/programs/lvm.ts';
import { hasThinPools, testThrough } from '../../fixtures/inner-tests.ts';
import { failsWith } from './planned-disks.ts';
import { lvmSettings } from './test-backend.ts';
import { makeVolumeGroup } from './volume-group.ts';

/** lvm2 then keeps the books of volumes and leaves the kernel alone. */
const withoutDevices = 'global { activation = 0 }\n';

/** In a mount namespace of its own, so that the machine's LVM stays as it is. */
const withOwnSettings = `mount --bind "$1" /etc/lvm/lvmlocal.conf && shift && exec "$@"`;

test('lvm2’s commands, on a real volume group without device mapper', async (t) => {
  const folder = await mkdtemp('/var/tmp/everboot-lvm-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const settings = join(folder, 'lvmlocal.conf');
  await writeFile(settings, withoutDevices);
  const wrapper = ['unshare', '--mount', '--', 'sh', '-c', withOwnSettings, 'sh', settings];
  await testThrough(t, wrapper, join(import.meta.dirname, 'metadata-commands.ts'));
});

test('a host reports what it lacks before its first boot', async (t) => {
  const group = makeVolumeGroup(64);
  t.after(() => group.remove());
  const { signal } = new AbortController();
  await checkVolumeGroup(await lvmSettings(group.name, false), signal);
  const thin = checkVolumeGroup(await lvmSettings(group.name, true), signal);
  await assert.rejects(thin, failsWith('HostUnsuitable', /has no thin pool/));
  const name = `everboot-${randomUUID().slice(0, 8)}`;
  const absent = checkVolumeGroup(await lvmSettings(name, false), signal);
  await assert.rejects(absent, failsWith('HostUnsuitable', new RegExp(`no volume group ${name}`)));
  await checkVolumeGroup({ ...(await lvmSettings(name, false)), imagesType: 'raw' }, signal);
});

test('a kernel without device mapper is the host’s to change', async (t) => {
  if (hasThinPools()) {
    t.skip('this machine has a device mapper');
    return;
  }
  const group = makeVolumeGroup(64);
  t.after(() => group.remove());
  const run = { signal: new AbortController().signal, heldLocks: [] };
  for (const thinPool of [null, 'pool']) {
    const volume = { volumeGroup: group.name, name: 'disk', sizeBytes: 4 * 2 ** 20, tags: [], thinPool };
    await assert.rejects(createVolume(volume, run), failsWith('HostUnsuitable', /no device mapper/));
  }
});
