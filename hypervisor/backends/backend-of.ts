import type { LibvirtSettings } from '../../domain/configuration.ts';
import type { PlannedBlankDisk, PlannedRootDisk } from '../../domain/disk-plan.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { DiskBackend, DiskOwner, RemovalControl } from './disk-backend.ts';
import { lvmBackend } from './lvm-backend.ts';
import { qcow2Backend } from './qcow2-backend.ts';
import { rawBackend } from './raw-backend.ts';
import { rbdBackend } from './rbd-backend.ts';

/** The backend that makes a planned disk. What it needs to know of its storage, the host says and not the plan. */
export function backendOf(
  { storage, format }: Pick<PlannedRootDisk | PlannedBlankDisk, 'storage' | 'format'>,
  settings: LibvirtSettings,
): DiskBackend {
  if (storage === 'lvm') return lvmBackend(settings);
  if (storage === 'rbd') return rbdBackend(settings);
  return format === 'qcow2' ? qcow2Backend : rawBackend;
}

/**
 * Removes every disk of the owner's that is no file in its instance's directory. The settings are those that are right
 * for the instance: only the storage that they name is asked, so that an instance of files needs neither lvm2 nor Ceph.
 * Throws StorageUnavailable where that storage is not there.
 */
export async function removeOutsideDisks(
  settings: LibvirtSettings,
  owner: DiskOwner,
  control: RemovalControl,
): Promise<void> {
  const { imagesVolumeGroup, imagesRbdPool } = settings;
  const { instanceId } = owner;
  if (imagesVolumeGroup !== null) {
    const removing = lvmBackend(settings).removeDisks(owner, control);
    await removing.catch((error) => fail(instanceId, `the volume group ${imagesVolumeGroup}`, error));
  }
  if (imagesRbdPool !== null) {
    const removing = rbdBackend(settings).removeDisks(owner, control);
    await removing.catch((error) => fail(instanceId, `the Ceph pool ${imagesRbdPool}`, error));
  }
}

/** A host that was set to something else, and has lost the storage of these disks, is said to need it back. */
function fail(instanceId: string, place: string, error: unknown): never {
  if (!(error instanceof EverbootFailure) || error.code !== 'HostUnsuitable') throw error;
  const problem = `the disks of instance ${instanceId} are in ${place}, which cannot be reached: ${error.message}`;
  throw new EverbootFailure('StorageUnavailable', problem, {
    cause: error,
    remedy: `Give the host ${place} back; or, if its disks are gone permanently, set "storage" to null in the instance’s everboot.json.`,
  });
}
