import type { InstanceDisk } from '../domain/disk-plan.ts';
import type { RootDiskOrder } from '../domain/host-activities.ts';
import { backendOf } from '../hypervisor/backends/backend-of.ts';
import type { Host } from './context/host.ts';
import { makingDisk } from './disks/make-disk.ts';

/** Makes the root disk of its base image in the host's way of keeping disks; then as large as the flavor says. */
export async function createRootDisk(host: Host, { claim, disk, base }: RootDiskOrder): Promise<InstanceDisk> {
  const { libvirt } = host.configuration;
  const bytes = await backendOf(disk, libvirt).rootBytes(disk, base, libvirt.preallocateImages);
  return await makingDisk(host, { claim, name: disk.name, bytes }, (context, control, settings) =>
    backendOf(disk, settings).makeRoot(disk, base, context, control),
  );
}
