import { containerRootName } from '../domain/container-root.ts';
import type { RootDiskOrder } from '../domain/host-activities.ts';
import { makeRootFileSystem, rootRoomBytes } from '../hypervisor/root-file-system/make-root-file-system.ts';
import { keepingReserve } from '../hypervisor/space-guard.ts';
import { timeForBytesMs } from '../hypervisor/time-for-bytes.ts';
import type { Host } from './host.ts';
import { makingDisk } from './make-disk.ts';
import { rootGuestDisk } from './root-guest-disk.ts';

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
