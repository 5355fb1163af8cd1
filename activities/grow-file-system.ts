import type { GrowthReport, RootDiskChange } from '../domain/host-activities.ts';
import { growFileSystem as grow } from '../hypervisor/injection/grow-file-system.ts';
import { changingRootDisk } from './changing-root-disk.ts';
import type { Host } from './host.ts';

/** Makes the file system in the root disk as large as the disk, where that is safe. */
export async function growFileSystem(host: Host, order: RootDiskChange): Promise<GrowthReport> {
  return await changingRootDisk(host, order, grow);
}
