import type { BootFileRole } from './image.ts';
import type { OsType } from './os-types.ts';

/** The file formats a disk of an instance may have. */
export type DiskFormat = 'raw' | 'qcow2';

/** Where a disk is that is no file in its instance's directory: a logical volume, or an image in a Ceph pool. */
export type DiskStorage = 'lvm' | 'rbd';

/** Where the disks of an instance are that are no files in its directory. */
export type OutsideStorage =
  | { readonly kind: 'lvm'; readonly volumeGroup: string }
  | { readonly kind: 'rbd'; readonly pool: string };

/** How a disk is attached to the guest; `lxc` and `uml` stand for all that a container and User Mode Linux have. */
export type DiskBus = 'virtio' | 'ide' | 'scsi' | 'sata' | 'usb' | 'lxc' | 'uml';

/** A disk's device in the guest, before it has a name. */
interface PlannedDevice {
  /** The file's name in the instance directory, suffix included: `disk`, `disk.local`, `disk.swap.rescue`. */
  readonly name: string;
  readonly format: DiskFormat;
  /** Absent: a file of that name in the instance's directory. */
  readonly storage?: DiskStorage;
  /** The device name in the guest, as Nova gives them: vda, vdb … Empty in a container, whose disks have none. */
  readonly device: string;
  readonly bus: DiskBus;
  /** By this the guest finds it in the metadata's `devices`. */
  readonly tag?: string;
}

export interface PlannedRootDisk extends PlannedDevice {
  readonly kind: 'root';
  /** Null: as large as the image. Disks only grow. */
  readonly sizeBytes: number | null;
  /** Present for an ISO image, which the guest gets as a CD-ROM. */
  readonly deviceType?: 'cdrom';
  /** Present where the disk is a copy-on-write clone of an image in the same Ceph cluster; no base is fetched then. */
  readonly clone?: RbdSnapshot;
}

/** A snapshot of an image in a Ceph pool. */
export interface RbdSnapshot {
  readonly pool: string;
  readonly image: string;
  readonly snapshot: string;
}

export interface PlannedEphemeralDisk extends PlannedDevice {
  readonly kind: 'ephemeral';
  readonly sizeBytes: number;
  /** The file system where the host has no command of its own (`virt_mkfs`) for the os type. */
  readonly fileSystem: string;
  /** Absent in plans of earlier releases: the file system it is. */
  readonly osType?: OsType;
  /** `ephemeral0`, `ephemeral1` … */
  readonly label: string;
}

export interface PlannedSwapDisk extends PlannedDevice {
  readonly kind: 'swap';
  readonly sizeBytes: number;
}

export interface PlannedConfigDrive extends PlannedDevice {
  readonly kind: 'config';
  readonly deviceType: 'cdrom' | 'disk';
}

export interface PlannedBootFile {
  readonly kind: BootFileRole;
  /** `kernel` or `ramdisk`, suffix included. */
  readonly name: string;
}

/** Where a volume is: a block device of the host, an NBD export, an image in a Ceph pool. */
export type VolumeSource =
  | { readonly block: string }
  | { readonly nbd: { readonly host: string; readonly port: number; readonly export: string } }
  | { readonly rbd: { readonly pool: string; readonly image: string } };

/** A disk that everboot does not make: it is there already, and is only attached. */
export interface PlannedVolume {
  readonly kind: 'volume';
  readonly device: string;
  readonly bus: DiskBus;
  readonly source: VolumeSource;
  readonly deviceType: 'disk' | 'cdrom';
  readonly readOnly: boolean;
  /** True: the guest boots from it, and no root disk is made. */
  readonly boot: boolean;
  readonly tag?: string;
}

export type PlannedDisk = PlannedRootDisk | PlannedEphemeralDisk | PlannedSwapDisk | PlannedConfigDrive;

/** A disk that is formatted and otherwise empty. */
export type PlannedBlankDisk = PlannedEphemeralDisk | PlannedSwapDisk;

/** Every file a boot makes for an instance, before any of them is made. */
export interface DiskPlan {
  readonly root: PlannedRootDisk | null;
  readonly ephemerals: readonly PlannedEphemeralDisk[];
  readonly swap: PlannedSwapDisk | null;
  /** Absent in plans of earlier releases. */
  readonly volumes?: readonly PlannedVolume[];
  readonly config: PlannedConfigDrive | null;
  readonly bootFiles: readonly PlannedBootFile[];
}

/** A file that was made for an instance, as results and the instance's record list it. */
export interface InstanceDisk {
  readonly name: string;
  readonly path: string;
  readonly format: string;
  readonly virtualSizeBytes: number;
  readonly backingFile?: string;
}
