import type { DiskPlan, PlannedVolume } from '../../domain/disk-plan.ts';
import type { DomainDescription } from '../../domain/domain-xml/domain-description.ts';
import type { ImageDescription } from '../../domain/image.ts';
import type { InstanceSpec } from '../../domain/spec.ts';

const id = '3f2a9c04-1111-4222-8333-444455556666';

export const spec: InstanceSpec = {
  id,
  name: 'web-1',
  project: 'shop',
  user: 'ann',
  availabilityZone: '',
  hostname: 'web-1',
  flavor: 'm1.small',
  configDrive: true,
  metadata: {},
  sshKeys: [],
  interfaces: [],
  boot: 'running',
  onFailure: 'undo',
};

/** A root, an ephemeral, a swap and a config drive, as a host with qcow2 disks plans them. */
export const plan: DiskPlan = {
  root: { kind: 'root', name: 'disk', format: 'qcow2', device: 'vda', bus: 'virtio', sizeBytes: 2 ** 30 },
  ephemerals: [
    {
      kind: 'ephemeral',
      name: 'disk.local',
      format: 'raw',
      device: 'vdb',
      bus: 'virtio',
      sizeBytes: 2 ** 30,
      fileSystem: 'ext4',
      label: 'ephemeral0',
    },
  ],
  swap: { kind: 'swap', name: 'disk.swap', format: 'raw', device: 'vdc', bus: 'virtio', sizeBytes: 2 ** 26 },
  config: { kind: 'config', name: 'disk.config', format: 'raw', device: 'hda', bus: 'ide', deviceType: 'cdrom' },
  bootFiles: [],
};

/** The most usual instance; tests change what they are about. */
export const description: DomainDescription = {
  claim: { instanceId: id, operationId: '9a8b7c6d-1111-4222-8333-444455556666' },
  spec,
  flavor: { name: 'm1.small', vcpus: 1, memoryMb: 2048, rootGb: 20, ephemeralGb: 0, swapMb: 0 },
  plan,
  directory: `/var/lib/everboot/instances/${id}`,
  settings: {
    cpuMode: null,
    imagesVolumeGroup: 'guests',
    imagesRbdPool: 'vms',
    imagesRbdCephConf: '/etc/ceph/ceph.conf',
    rbdUser: 'nova',
    rbdSecretUuid: '5f2f2f3a-9a0c-4a3e-8d39-0c1f5e5b7c11',
  },
  virtType: 'qemu',
  image: imageWith({}),
  cacheMode: 'none',
};

export function imageWith(properties: Record<string, string>, title = 'debian-12'): ImageDescription {
  return {
    reference: { glance: '5e0e6a04-1111-4222-8333-444455556666' },
    title,
    format: 'qcow2',
    sizeBytes: null,
    digest: null,
    minDiskGb: 0,
    minRamMb: 0,
    properties,
  };
}

export const bootFiles: DiskPlan['bootFiles'] = [
  { kind: 'kernel', name: 'kernel' },
  { kind: 'ramdisk', name: 'ramdisk' },
];

/** A volume on the bus that its device name says. */
export function volumeOf(source: PlannedVolume['source'], changes: Partial<PlannedVolume> = {}): PlannedVolume {
  return {
    kind: 'volume',
    device: 'vdd',
    bus: 'virtio',
    source,
    deviceType: 'disk',
    readOnly: false,
    boot: false,
    ...changes,
  };
}
