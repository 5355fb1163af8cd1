import { diskSource } from '../domain/disk-source.ts';
import { EverbootFailure } from '../domain/failures.ts';
import type { RootDiskChange } from '../domain/host-activities.ts';
import type { GuestDisk, GuestfishControl } from '../hypervisor/guestfish.ts';
import { withPrivateFolder } from '../hypervisor/private-folder.ts';
import { resolveVirtType } from '../hypervisor/probe-kvm.ts';
import type { Host } from './host.ts';
import { makingDisk } from './make-disk.ts';

/** What the appliance writes into a disk at most besides what it is given: journals, and tables of a larger file system. */
const changeBytes = 128 * 2 ** 20;

/**
 * What every step that changes what is in the root disk has in common with the one that made it: the locks, so that an
 * earlier attempt's programs have ended; and its space. The private folder bears the disk's temporary name, so that the
 * next attempt clears away a killed one's.
 */
export async function changingRootDisk<Made>(
  host: Host,
  { claim, disk }: RootDiskChange,
  change: (disk: GuestDisk, control: GuestfishControl) => Promise<Made>,
): Promise<Made> {
  const { libvirt } = host.configuration;
  return await makingDisk(host, { claim, name: disk.name, bytes: changeBytes }, async (context, control, settings) => {
    const { directory, heldLocks } = context;
    const source = diskSource(disk, { instanceId: claim.instanceId, directory, settings });
    if (source.type !== 'file' && source.type !== 'block') {
      throw new EverbootFailure('HostUnsuitable', `root disks of ${source.type} cannot be changed from inside`);
    }
    // A container's type says nothing of KVM.
    const setting = libvirt.virtType === 'kvm' || libvirt.virtType === 'qemu' ? libvirt.virtType : 'auto';
    const forceTcg = (await resolveVirtType(setting, host.stateDirectory, control.signal)) === 'qemu';
    return await withPrivateFolder(`${directory}/${disk.name}`, (folder) =>
      change({ path: source.path, format: disk.format }, { ...control, heldLocks, folder, forceTcg }),
    );
  });
}
