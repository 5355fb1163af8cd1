import type { RootDiskChange } from '../../domain/host-activities.ts';
import { withPrivateFolder } from '../../hypervisor/files/private-folder.ts';
import type { GuestDisk, GuestfishControl } from '../../hypervisor/programs/guestfish.ts';
import { keepingReserve } from '../../hypervisor/space/space-guard.ts';
import type { Host } from '../context/host.ts';
import { makingDisk } from './make-disk.ts';
import { rootGuestDisk } from './root-guest-disk.ts';

/** The most that the appliance writes besides its input: journals, and tables of a larger file system. */
const changeBytes = 128 * 2 ** 20;

/**
 * The frame of every step that changes the contents of the root disk, the same as of the step that made it: the locks,
 * so that an earlier attempt's programs have ended; and its space. The private folder bears the disk's temporary name,
 * so that the next attempt clears away a killed one's.
 */
export async function changingRootDisk<Made>(
  host: Host,
  { claim, disk }: RootDiskChange,
  change: (disk: GuestDisk, control: GuestfishControl) => Promise<Made>,
): Promise<Made> {
  const reservedBytes = host.configuration.host.reservedDiskMb * 2 ** 20;
  return await makingDisk(host, { claim, name: disk.name, bytes: changeBytes }, async (context, control, settings) => {
    const { directory, heldLocks } = context;
    const place = { instanceId: claim.instanceId, directory, settings };
    const root = await rootGuestDisk(host, disk, place, control.signal);
    // QEMU takes whatever room the host has, and what it leaves is the others' as well.
    return await keepingReserve(directory, reservedBytes, control, (kept) =>
      withPrivateFolder(`${directory}/${disk.name}`, (folder) =>
        change(root.disk, { ...kept, heldLocks, folder, forceTcg: root.forceTcg }),
      ),
    );
  });
}
