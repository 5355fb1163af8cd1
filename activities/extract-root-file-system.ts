import type { RootDiskOrder } from '../domain/host-activities.ts';
import { containerRootName } from '../domain/host-paths.ts';
import { timeForBytesMs } from '../hypervisor/process/time-for-bytes.ts';
import { makeRootFileSystem, rootRoomBytes } from '../hypervisor/root-file-system/make-root-file-system.ts';
import { keepingReserve } from '../hypervisor/space/space-guard.ts';
import type { Host } from './context/host.ts';
import { makingDisk } from './disks/make-disk.ts';
import { rootGuestDisk } from './disks/root-guest-disk.ts';

/** Makes the folder that is a container's root from its root disk, after everything was injected into that. */
export async function extractRootFileSystem(host: Host, { claim, disk, base }: RootDiskOrder): Promise<void> {
  const { host: limits } = host.configuration;
  // The image's files are no more than it holds; that the disk is larger gives them no more room.
  const bytes = base?.virtualSizeBytes ?? 0;
  const work = { claim, name: containerRootName, bytes: rootRoomBytes(bytes) };
  await makingDisk(host, work, async ({ directory, heldLocks }, control, settings) => {
    await keepingReserve(directory, limits.reservedDiskMb * 2 ** 20, control, async (kept) => {
      const place = { instanceId: claim.instanceId, directory, settings };
      const { disk: root, forceTcg } = await rootGuestDisk(host, disk, place, kept.signal);
      const path = `${directory}/${containerRootName}`;
      await makeRootFileSystem(
        path,
        { disk: root, bytes },
        {
          ...kept,
          heldLocks,
          forceTcg,
          timeoutMs: timeForBytesMs(bytes),
        },
      );
    });
  });
}
