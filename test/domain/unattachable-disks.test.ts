import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DiskPlan } from '../../domain/disk-plan.ts';
import { refuseUnattachableDisks } from '../../domain/unattachable-disks.ts';
import { plan, volumeOf } from './domain-xml-fixtures.ts';

const onBlock = { block: '/dev/sdz' };
const onNbd = { nbd: { host: 'a', port: 1, export: '' } };
const raw: DiskPlan = { ...plan, root: plan.root && { ...plan.root, format: 'raw' } };

const refused = {
  'a CD on virtio': [{ ...plan, volumes: [volumeOf(onBlock, { deviceType: 'cdrom' })] }, 'qemu', /the CD vdd is to be/],
  'a hard disk on SATA that is read only': [
    { ...plan, volumes: [volumeOf(onBlock, { bus: 'sata', readOnly: true })] },
    'auto',
    /vdd is to be read only on sata; expected virtio, scsi or usb/,
  ],
  'qcow2 under User Mode Linux': [plan, 'uml', /the disk vda is no raw file/],
  'an image in a Ceph pool under User Mode Linux': [
    { ...raw, swap: raw.swap && { ...raw.swap, storage: 'rbd' } },
    'uml',
    /the disk vdc is no raw file/,
  ],
  'an NBD export under User Mode Linux': [{ ...raw, volumes: [volumeOf(onNbd)] }, 'uml', /the disk vdd is no raw file/],
  'a container’s root in a Ceph pool': [
    { ...raw, root: raw.root && { ...raw.root, storage: 'rbd' } },
    'lxc',
    /cannot be made from a disk in a Ceph pool/,
  ],
  'a volume in a container': [{ ...plan, volumes: [volumeOf(onBlock)] }, 'lxc', /a container cannot have volumes/],
} as const satisfies Record<string, readonly [DiskPlan, Parameters<typeof refuseUnattachableDisks>[1], RegExp]>;

for (const [title, [given, virtType, message]] of Object.entries(refused)) {
  test(`refused before anything is made: ${title}`, () => {
    assert.throws(() => refuseUnattachableDisks(given, virtType), { code: 'HostUnsuitable', message });
  });
}

test('what libvirt attaches is not refused', () => {
  const cd = volumeOf(onBlock, { bus: 'ide', deviceType: 'cdrom', readOnly: true });
  refuseUnattachableDisks({ ...plan, volumes: [cd, volumeOf(onNbd, { readOnly: true })] }, 'kvm');
  refuseUnattachableDisks({ ...raw, volumes: [volumeOf(onBlock)] }, 'uml');
  refuseUnattachableDisks({ ...raw, swap: raw.swap && { ...raw.swap, storage: 'lvm' } }, 'uml');
  refuseUnattachableDisks(plan, 'lxc');
});
