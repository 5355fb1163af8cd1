import type { BootFileRole } from './image.ts';

/** The file formats a disk of an instance may have. */
export type DiskFormat = 'raw' | 'qcow2';

/** `flat` is newer Nova's word for `raw`; both copy the image into a raw file. */
export type DiskBackend = 'raw' | 'flat' | 'qcow2';

/** How a disk is attached to the guest. */
export type DiskBus = 'virtio' | 'ide' | 'scsi' | 'sata';

/** What sits between the name of a disk and its device in the guest. */
interface PlannedDevice {
  /** The file's name in the instance directory, suffix included: `disk`, `disk.local`, `disk.swap.rescue`. */
  readonly name: string;
  readonly format: DiskFormat;
  /** The device name in the guest, as Nova gives them: vda, vdb … */
  readonly device: string;
  readonly bus: DiskBus;
}

export interface PlannedRootDisk extends PlannedDevice {
  readonly kind: 'root';
  /** Null: as large as the image. Disks only grow. */
  readonly sizeBytes: number | null;
  /** Present for an ISO image, which the guest gets as a CD-ROM. */
  readonly deviceType?: 'cdrom';
}

export interface PlannedEphemeralDisk extends PlannedDevice {
  readonly kind: 'ephemeral';
  readonly sizeBytes: number;
  readonly fileSystem: string;
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

export type PlannedDisk = PlannedRootDisk | PlannedEphemeralDisk | PlannedSwapDisk | PlannedConfigDrive;

/** Every file a boot makes for an instance, before any of them is made. */
export interface DiskPlan {
  readonly root: PlannedRootDisk | null;
  readonly ephemerals: readonly PlannedEphemeralDisk[];
  readonly swap: PlannedSwapDisk | null;
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
