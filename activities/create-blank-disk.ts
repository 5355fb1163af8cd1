import type { InstanceDisk, PlannedBlankDisk } from '../domain/disk-plan.ts';
import type { DiskOrder } from '../domain/host-activities.ts';
import { backendOf } from '../hypervisor/backends/backend-of.ts';
import type { Host } from './context/host.ts';
import { makingDisk } from './disks/make-disk.ts';

/** Makes an ephemeral disk with its file system, or the swap disk, in the host's way of keeping disks. */
export async function createBlankDisk(host: Host, { claim, disk }: DiskOrder<PlannedBlankDisk>): Promise<InstanceDisk> {
  const { libvirt } = host.configuration;
  const bytes = backendOf(disk, libvirt).blankBytes(disk, libvirt.preallocateImages);
  return await makingDisk(host, { claim, name: disk.name, bytes }, (context, control, settings) =>
    backendOf(disk, settings).makeBlank(disk, context, control),
  );
}
