import { stat } from 'node:fs/promises';
import type { InstanceDisk, PlannedRootDisk } from '../domain/disk-plan.ts';
import type { DiskFromImageOrder } from '../domain/host-activities.ts';
import { makeRootDisk } from '../hypervisor/disks/root-disk.ts';
import type { Host } from './host.ts';
import { makingDisk } from './make-disk.ts';

/** Makes the root disk of its base image: a raw copy, or an overlay; then as large as the flavor says. */
export async function createRootDisk(host: Host, order: DiskFromImageOrder<PlannedRootDisk>): Promise<InstanceDisk> {
  const { claim, disk, base } = order;
  const bytes = await bytesToWrite(host, order);
  return await makingDisk(host, { claim, name: disk.name, bytes }, (context, control) =>
    makeRootDisk(disk, base, context, control),
  );
}

/** An overlay starts empty; a copy has what the base occupies; with preallocation, the whole disk is taken. */
async function bytesToWrite(
  { configuration }: Host,
  { disk, base }: DiskFromImageOrder<PlannedRootDisk>,
): Promise<number> {
  if (configuration.libvirt.preallocateImages === 'space') return disk.sizeBytes ?? base.virtualSizeBytes;
  if (disk.format === 'qcow2') return 0;
  const { blocks } = await stat(base.path);
  return blocks * 512;
}
