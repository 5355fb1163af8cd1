import type { DiskBus } from '../../domain/disk-plan.ts';
import type { InstanceSecrets, InstanceSpec } from '../../domain/spec.ts';

/** A disk as the guest's metadata describes it. */
export interface GuestDisk {
  /** Empty in a container, whose disks have no names. */
  readonly device: string;
  readonly bus: DiskBus;
  readonly tag?: string;
  /** The disk's serial number in the guest. */
  readonly serial?: string;
}

/** The disks of a plan that a guest is informed of. */
export interface GuestDisks {
  readonly root: GuestDisk | null;
  readonly ephemerals: readonly GuestDisk[];
  readonly swap: GuestDisk | null;
  /** `boot`: the guest's root is on it. */
  readonly volumes?: readonly (GuestDisk & { readonly boot: boolean })[];
}

/** The contents of a config drive. */
export interface ConfigDriveContents {
  readonly spec: Pick<
    InstanceSpec,
    | 'id'
    | 'name'
    | 'hostname'
    | 'launchIndex'
    | 'project'
    | 'availabilityZone'
    | 'flavor'
    | 'image'
    | 'kernel'
    | 'ramdisk'
    | 'metadata'
    | 'sshKeys'
    | 'interfaces'
    | 'networkData'
  >;
  readonly secrets: InstanceSecrets;
  /** From which the guest learns where its disks are, and which of them have a tag; absent: the guest gets none. */
  readonly disks?: GuestDisks;
}

/** One file of a config drive. The path is relative to its root, and made of nothing that a tenant gave. */
export interface MetadataFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** A key's name in the guest. Nova's key pairs have names, the lines of a spec have none. */
export function keyName(index: number): string {
  return `key-${index}`;
}

export function jsonFile(path: string, value: unknown): MetadataFile {
  return { path, bytes: Buffer.from(JSON.stringify(value)) };
}
