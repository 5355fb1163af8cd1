import type { LibvirtSettings } from './configuration.ts';
import type { DiskPlan, DiskStorage, OutsideStorage } from './disk-plan.ts';
import { poolOf, type StorageSettings, volumeGroupOf } from './disk-source.ts';
import type { InstanceRecord } from './instance-record.ts';

/**
 * Where a plan's disks will be outside of the instance's directory; null where all of them are files. Throws
 * HostUnsuitable on a host that does not have that storage (any more).
 */
export function plannedStorage(
  { root, ephemerals, swap }: Pick<DiskPlan, 'root' | 'ephemerals' | 'swap'>,
  settings: StorageSettings,
): OutsideStorage | null {
  const storages = [root, ...ephemerals, swap].flatMap((disk) => disk?.storage ?? []);
  return storageOf(storages[0], settings);
}

/**
 * The host's settings as they are right for one instance: its disks stay where its record says, whatever the host makes
 * now. How a host gets to its Ceph is not recorded. Without a record no disk was made outside, as the record comes
 * first; should somebody have removed it, and in one of an earlier release, what the host makes now decides.
 */
export function settingsOfInstance<Settings extends StorageSettings & Pick<LibvirtSettings, 'imagesType'>>(
  settings: Settings,
  record: Pick<InstanceRecord, 'storage'> | undefined,
): Settings {
  const storage = record?.storage === undefined ? configuredStorage(settings) : record.storage;
  return {
    ...settings,
    imagesVolumeGroup: storage?.kind === 'lvm' ? storage.volumeGroup : null,
    imagesRbdPool: storage?.kind === 'rbd' ? storage.pool : null,
  };
}

function configuredStorage(settings: StorageSettings & Pick<LibvirtSettings, 'imagesType'>): OutsideStorage | null {
  const { imagesType } = settings;
  return storageOf(imagesType === 'lvm' || imagesType === 'rbd' ? imagesType : undefined, settings);
}

function storageOf(storage: DiskStorage | undefined, settings: StorageSettings): OutsideStorage | null {
  if (storage === undefined) return null;
  if (storage === 'lvm') return { kind: 'lvm', volumeGroup: volumeGroupOf(settings) };
  return { kind: 'rbd', pool: poolOf(settings) };
}
