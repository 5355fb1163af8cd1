import type { LibvirtSettings } from './configuration.ts';
import type { DiskStorage, VolumeSource } from './disk-plan.ts';
import { EverbootFailure } from './failures.ts';

/** The place of a disk's bytes, as libvirt and QEMU get it. */
export type DiskSource =
  | { readonly type: 'file' | 'block'; readonly path: string }
  | ({ readonly type: 'rbd'; readonly pool: string; readonly image: string } & CephAccess)
  | { readonly type: 'nbd'; readonly host: string; readonly port: number; readonly export: string };

/** How a host gets to its Ceph; null where Ceph's own defaults do. */
interface CephAccess {
  readonly confPath: string | null;
  readonly user: string | null;
  readonly secretUuid: string | null;
}

export type StorageSettings = Pick<
  LibvirtSettings,
  'imagesVolumeGroup' | 'imagesRbdPool' | 'imagesRbdCephConf' | 'rbdUser' | 'rbdSecretUuid'
>;

export interface DiskPlace {
  readonly instanceId: string;
  /** The instance's directory. */
  readonly directory: string;
  readonly settings: StorageSettings;
}

/**
 * Where a disk of an instance is, or will be. A logical volume and an image in a Ceph pool are called `<instance
 * id>_<disk>`, as in Nova. Throws HostUnsuitable on a host without that storage.
 */
export function diskSource(
  { name, storage }: { readonly name: string; readonly storage?: DiskStorage },
  { instanceId, directory, settings }: DiskPlace,
): DiskSource {
  if (storage === undefined) return { type: 'file', path: `${directory}/${name}` };
  const ownName = storedDiskName(instanceId, name);
  if (storage === 'lvm') return { type: 'block', path: `/dev/${volumeGroupOf(settings)}/${ownName}` };
  return { type: 'rbd', pool: poolOf(settings), image: ownName, ...cephAccess(settings) };
}

/** A volume's source, which a spec gives as it is. */
export function volumeSource(source: VolumeSource, settings: StorageSettings): DiskSource {
  if ('block' in source) return { type: 'block', path: source.block };
  if ('nbd' in source) return { type: 'nbd', ...source.nbd };
  return { type: 'rbd', ...source.rbd, ...cephAccess(settings) };
}

/** Nova's name of a disk that is no file: `<instance id>_disk`. */
export function storedDiskName(instanceId: string, diskName: string): string {
  return `${instanceId}_${diskName}`;
}

export function volumeGroupOf({ imagesVolumeGroup }: StorageSettings): string {
  if (imagesVolumeGroup !== null) return imagesVolumeGroup;
  throw new EverbootFailure('HostUnsuitable', 'the host has no [libvirt] images_volume_group for its lvm disks');
}

export function poolOf({ imagesRbdPool }: StorageSettings): string {
  if (imagesRbdPool !== null) return imagesRbdPool;
  throw new EverbootFailure('HostUnsuitable', 'the host has no [libvirt] images_rbd_pool for its rbd disks');
}

function cephAccess({ imagesRbdCephConf, rbdUser, rbdSecretUuid }: StorageSettings): CephAccess {
  return { confPath: imagesRbdCephConf, user: rbdUser, secretUuid: rbdSecretUuid };
}
