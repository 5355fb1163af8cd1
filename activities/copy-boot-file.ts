import type { InstanceDisk } from '../domain/disk-plan.ts';
import type { BootFileOrder } from '../domain/host-activities.ts';
import { copyBootFile as copy } from '../hypervisor/disks/boot-file.ts';
import type { Host } from './context/host.ts';
import { makingDisk } from './disks/make-disk.ts';

/** Copies a kernel or a ramdisk out of the cache, beside the disks. */
export async function copyBootFile(host: Host, order: BootFileOrder): Promise<InstanceDisk> {
  const { claim, disk, base } = order;
  return await makingDisk(host, { claim, name: disk.name, bytes: base.virtualSizeBytes }, (context, control) =>
    copy(disk, base, context, control),
  );
}
