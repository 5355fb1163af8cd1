import type { LibvirtSettings } from './configuration.ts';
import type { DiskPlan } from './disk-plan.ts';
import { EverbootFailure } from './failures.ts';

/** Where a guest's root file system is: inspected for, the whole disk, or a partition by its number. */
export type RootPlace = 'inspect' | 'disk' | number;

/**
 * Whether a guest gets its metadata by injection, and in which file system of its root disk; null: it is not. Nova's
 * rules (`_create_and_inject_local_root` and `_inject_data` in nova/virt/libvirt/driver.py): only without a config
 * drive, and into a root disk that the host makes. One that goes with a kernel, or is a container's, has no partitions.
 *
 * Throws HostUnsuitable for a disk in a Ceph pool.
 */
export function planInjection(
  { root, config, bootFiles }: Pick<DiskPlan, 'root' | 'config' | 'bootFiles'>,
  { injectPartition, virtType }: Pick<LibvirtSettings, 'injectPartition' | 'virtType'>,
): RootPlace | null {
  if (injectPartition === -2 || root === null || config !== null) return null;
  if (root.storage === 'rbd') {
    throw new EverbootFailure('HostUnsuitable', 'nothing can be injected into a root disk in a Ceph pool', {
      remedy: 'Ask for a config drive (configDrive), or set [libvirt] inject_partition to -2 on the host.',
    });
  }
  const hasKernel = bootFiles.some(({ kind }) => kind === 'kernel');
  if (hasKernel || virtType === 'lxc' || injectPartition === 0) return 'disk';
  return injectPartition === -1 ? 'inspect' : injectPartition;
}

/** Whether the file system of the root disk is to grow with the disk (`resize_fs_using_block_device`). */
export function plansGrowth(
  { root }: Pick<DiskPlan, 'root'>,
  { resizeFsUsingBlockDevice }: Pick<LibvirtSettings, 'resizeFsUsingBlockDevice'>,
): boolean {
  // A disk without a size of its own is as large as its image, and so is what is in it.
  return resizeFsUsingBlockDevice && root !== null && root.sizeBytes !== null && root.storage !== 'rbd';
}
