import type { Host } from '../../../activities/context/host.ts';
import type { PlannedBlankDisk, PlannedRootDisk } from '../../../domain/disk-plan.ts';
import { baseIn, claim, crashHostWithInstance, putBaseImage, undo } from './crash-hosts.ts';
import type { CrashCase } from './lane.ts';

const mebibyte = 2 ** 20;
const place = { device: 'vda', bus: 'virtio' } as const;

function rootDisk(format: 'raw' | 'qcow2', more = ''): CrashCase {
  const disk: PlannedRootDisk = { kind: 'root', name: 'disk', format, sizeBytes: 8 * mebibyte, ...place };
  return {
    ...{ module: 'create-root-disk', name: 'createRootDisk', undo },
    async prepare(folder) {
      const host = await crashHostWithInstance(folder, more);
      await putBaseImage(host);
      return host;
    },
    order: (host) => ({ claim, disk, base: baseIn(host) }),
  };
}

function blankDisk(disk: PlannedBlankDisk): CrashCase {
  return {
    ...{ module: 'create-blank-disk', name: 'createBlankDisk', undo },
    prepare: (folder) => crashHostWithInstance(folder),
    order: () => ({ claim, disk }),
  };
}

const ephemeral = {
  kind: 'ephemeral',
  name: 'disk.local',
  sizeBytes: 8 * mebibyte,
  fileSystem: 'ext4',
  osType: 'linux',
  label: 'ephemeral0',
  ...place,
} as const;
const swap = { kind: 'swap', name: 'disk.swap', sizeBytes: 8 * mebibyte, ...place } as const;

/** The steps that make disks, each with what it finds. */
export const diskCases = {
  'a raw root disk': rootDisk('raw'),
  'a raw root disk with all its space reserved': rootDisk('raw', 'preallocate_images = "space"'),
  'a qcow2 root disk': rootDisk('qcow2'),
  'an ephemeral disk, formatted in place': blankDisk({ ...ephemeral, format: 'raw' }),
  'an ephemeral disk and the formatted file in the cache that backs it': blankDisk({
    ...ephemeral,
    format: 'qcow2',
  }),
  'a swap disk, made in place': blankDisk({ ...swap, format: 'raw' }),
  'a swap disk and the swap area in the cache that backs it': blankDisk({ ...swap, format: 'qcow2' }),
  'a kernel beside the disks': {
    ...rootDisk('raw'),
    ...{ module: 'copy-boot-file', name: 'copyBootFile' },
    order: (host: Host) => ({ claim, disk: { kind: 'kernel', name: 'kernel' }, base: baseIn(host) }),
  },
} satisfies Record<string, CrashCase>;
