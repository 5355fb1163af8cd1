import type { LibvirtSettings } from '../../domain/configuration.ts';
import type { PlannedBlankDisk, PlannedRootDisk } from '../../domain/disk-plan.ts';
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

/** Removes every disk of the owner's that is no file in its instance's directory, whatever the host makes now. */
export async function removeOutsideDisks(
  settings: LibvirtSettings,
  owner: DiskOwner,
  control: RemovalControl,
): Promise<void> {
  if (settings.imagesVolumeGroup !== null) await lvmBackend(settings).removeDisks(owner, control);
  if (settings.imagesRbdPool !== null) await rbdBackend(settings).removeDisks(owner, control);
}
