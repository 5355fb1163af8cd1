import type { InstanceDisk, PlannedEphemeralDisk } from '../domain/disk-plan.ts';
import type { DiskOrder } from '../domain/host-activities.ts';
import { makeEphemeralBase, makeEphemeralDisk } from '../hypervisor/disks/ephemeral-disk.ts';
import { haveBlankBase } from '../hypervisor/image-cache/blank-base.ts';
import { ephemeralCacheName } from '../hypervisor/image-cache/cache-name.ts';
import type { Host } from './host.ts';
import { makingDisk } from './make-disk.ts';

/** Makes an ephemeral disk with its file system: in place, or as an overlay on a formatted base in the cache. */
export async function createEphemeralDisk(host: Host, order: DiskOrder<PlannedEphemeralDisk>): Promise<InstanceDisk> {
  const { claim, disk } = order;
  const bytes = host.configuration.libvirt.preallocateImages === 'space' ? disk.sizeBytes : 0;
  return await makingDisk(host, { claim, name: disk.name, bytes }, async (context, control) => {
    const backingFile =
      disk.format === 'raw'
        ? null
        : await haveBlankBase(
            host.paths,
            { claim, cacheName: ephemeralCacheName(disk) },
            control.signal,
            (path, locks) => makeEphemeralBase(path, disk, locks, control),
          );
    return await makeEphemeralDisk(disk, backingFile, context, control);
  });
}
