import type { LibvirtSettings } from './configuration.ts';
import type { DiskPlan, PlannedDisk, PlannedVolume } from './disk-plan.ts';
import { EverbootFailure } from './failures.ts';

type AnyDisk = PlannedDisk | PlannedVolume;

/**
 * Refuses disks that libvirt would not attach, before anything is made for them: libvirt says so only when the guest is
 * defined. A disk on a bus that the machine does not have is refused when the disks are planned. Throws HostUnsuitable.
 */
export function refuseUnattachableDisks(plan: DiskPlan, virtType: LibvirtSettings['virtType']): void {
  const { root, ephemerals, swap, volumes = [], config } = plan;
  const disks: AnyDisk[] = [root, ...ephemerals, swap, ...volumes, config].filter((disk) => disk !== null);
  if (virtType === 'lxc') refuseForContainer(root, volumes);
  else for (const disk of disks) (virtType === 'uml' ? refuseUnreadable : refuseImpossible)(disk);
}

/**
 * libvirt has no word for the bus that Nova would put volumes on; and the root's files are read from a file or a
 * device.
 */
function refuseForContainer(root: DiskPlan['root'], volumes: readonly PlannedVolume[]): void {
  if (volumes.length > 0) throw new EverbootFailure('HostUnsuitable', 'a container cannot have volumes');
  if (root?.storage !== 'rbd') return;
  throw new EverbootFailure('HostUnsuitable', 'a container’s root cannot be made from a disk in a Ceph pool', {
    remedy: 'Set [libvirt] images_type to qcow2, raw or lvm on hosts with virt_type lxc.',
  });
}

/** A UML kernel opens its disks itself, as files and block devices of the host, and knows no format. */
function refuseUnreadable(disk: AnyDisk): void {
  const isReadable =
    disk.kind === 'volume' ? 'block' in disk.source : disk.format === 'raw' && (disk.storage ?? 'lvm') === 'lvm';
  if (isReadable) return;
  throw new EverbootFailure(
    'HostUnsuitable',
    `the disk ${disk.device} is no raw file and no block device; User Mode Linux reads nothing else`,
    { remedy: 'Set [libvirt] images_type to raw or lvm on this host; name block devices as volumes.' },
  );
}

/** QEMU's virtio has no CDs, and its hard disks on IDE and SATA can always be written. */
function refuseImpossible(disk: AnyDisk): void {
  const { device, bus } = disk;
  const isCdrom = 'deviceType' in disk && disk.deviceType === 'cdrom';
  const isReadOnly = disk.kind === 'volume' && disk.readOnly && !isCdrom;
  if (bus === 'virtio' && isCdrom) throw misplaced(`the CD ${device} is to be on virtio`, 'ide, sata, scsi or usb');
  if (isReadOnly && (bus === 'ide' || bus === 'sata')) {
    throw misplaced(`the volume ${device} is to be read only on ${bus}`, 'virtio, scsi or usb');
  }
}

function misplaced(problem: string, expected: string): EverbootFailure {
  return new EverbootFailure('HostUnsuitable', `${problem}; expected ${expected}`, {
    remedy: 'Change hw_disk_bus or hw_cdrom_bus of the image, or the bus in the spec.',
  });
}
