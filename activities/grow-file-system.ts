import type { GrowthReport, RootDiskChange } from '../domain/host-activities.ts';
import { growFileSystem as grow } from '../hypervisor/injection/grow-file-system.ts';
import type { Host } from './context/host.ts';
import { changingRootDisk } from './disks/changing-root-disk.ts';

/** Makes the file system in the root disk as large as the disk, where that is safe. */
export async function growFileSystem(host: Host, order: RootDiskChange): Promise<GrowthReport> {
  return await changingRootDisk(host, order, grow);
}
