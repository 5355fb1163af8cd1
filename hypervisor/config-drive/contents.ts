import type { DiskPlan } from '../../domain/disk-plan.ts';
import type { InstanceSecrets, InstanceSpec } from '../../domain/spec.ts';

/** What a config drive tells a guest. */
export interface ConfigDriveContents {
  readonly spec: Pick<
    InstanceSpec,
    | 'id'
    | 'name'
    | 'hostname'
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
  /** From which the guest learns where its ephemeral disks and its swap are; absent: it is not told. */
  readonly disks?: Pick<DiskPlan, 'root' | 'ephemerals' | 'swap'>;
}

/** One file of a config drive. The path is relative to its root, and made of nothing that a tenant gave. */
export interface MetadataFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

export function jsonFile(path: string, value: unknown): MetadataFile {
  return { path, bytes: Buffer.from(JSON.stringify(value)) };
}
