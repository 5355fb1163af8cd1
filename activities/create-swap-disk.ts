import type { InstanceDisk, PlannedSwapDisk } from '../domain/disk-plan.ts';
import type { DiskOrder } from '../domain/host-activities.ts';
import { makeSwapBase, makeSwapDisk } from '../hypervisor/disks/swap-disk.ts';
import { haveBlankBase } from '../hypervisor/image-cache/blank-base.ts';
import { swapCacheName } from '../hypervisor/image-cache/cache-name.ts';
import type { Host } from './host.ts';
import { makingDisk } from './make-disk.ts';

/** Makes the swap disk: in place, or as an overlay on a swap area in the cache. */
export async function createSwapDisk(host: Host, { claim, disk }: DiskOrder<PlannedSwapDisk>): Promise<InstanceDisk> {
  const bytes = host.configuration.libvirt.preallocateImages === 'space' ? disk.sizeBytes : 0;
  return await makingDisk(host, { claim, name: disk.name, bytes }, async (context, control) => {
    const cacheName = swapCacheName(disk.sizeBytes / 2 ** 20);
    const backingFile =
      disk.format === 'raw'
        ? null
        : await haveBlankBase(host.paths, { claim, cacheName }, control.signal, (path, locks) =>
            makeSwapBase(path, disk, locks, control),
          );
    return await makeSwapDisk(disk, backingFile, context, control);
  });
}
