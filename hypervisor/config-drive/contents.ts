import type { DiskBus } from '../../domain/disk-plan.ts';
import type { InstanceSecrets, InstanceSpec } from '../../domain/spec.ts';

/** A disk as the guest is told of it. */
export interface ToldDisk {
  /** Empty in a container, whose disks have no names. */
  readonly device: string;
  readonly bus: DiskBus;
  readonly tag?: string;
  /** What the guest reads as the disk's serial number. */
  readonly serial?: string;
}

/** What a disk plan has of disks to tell a guest. */
export interface ToldDisks {
  readonly root: ToldDisk | null;
  readonly ephemerals: readonly ToldDisk[];
  readonly swap: ToldDisk | null;
  /** `boot`: the guest's root is on it. */
  readonly volumes?: readonly (ToldDisk & { readonly boot: boolean })[];
}

/** What a config drive tells a guest. */
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
  /** From which the guest learns where its disks are, and which of them have a tag; absent: it is not told. */
  readonly disks?: ToldDisks;
}

/** One file of a config drive. The path is relative to its root, and made of nothing that a tenant gave. */
export interface MetadataFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** What a guest calls a key. Nova's key pairs have names, the lines of a spec have none. */
export function keyName(index: number): string {
  return `key-${index}`;
}

export function jsonFile(path: string, value: unknown): MetadataFile {
  return { path, bytes: Buffer.from(JSON.stringify(value)) };
}
