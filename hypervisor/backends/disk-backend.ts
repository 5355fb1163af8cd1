import type { Claim } from '../../domain/claim.ts';
import type { InstanceDisk, PlannedBlankDisk, PlannedRootDisk } from '../../domain/disk-plan.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import type { BaseImage } from '../../domain/image.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import type { DiskContext } from '../disks/disk-context.ts';

/** Where and for whom a backend makes a disk. */
export interface BackendContext extends DiskContext {
  readonly claim: Claim;
  readonly paths: HostPaths;
}

/** Whose disks are meant: an instance's, made by one operation, or by any where that is null. */
export interface DiskOwner {
  readonly instanceId: string;
  readonly operationId: string | null;
}

export interface RemovalControl extends WorkControl {
  /** Descriptors of the locks that every program which removes must hold. */
  readonly heldLocks?: readonly number[];
  /** How many volumes the host clears at a time; absent: one. */
  readonly clearingSlots?: number;
}

/** `space`: a file takes its whole size of the file system at once. */
export type Preallocation = DiskContext['preallocate'];

/**
 * One way of keeping disks. Each of its steps may run twice, and finds what an earlier run has made; a disk has its
 * final name only when it is whole. Throws FlavorDiskTooSmall, InsufficientSpace, InstanceExists (something of that
 * name is there that the step would not have made; it is left alone), NotManaged (it is not everboot's),
 * ProgramMissing.
 */
export interface DiskBackend {
  /** The most that a root disk takes of the file system of the instances, in bytes. */
  rootBytes(disk: PlannedRootDisk, base: BaseImage | null, preallocate: Preallocation): Promise<number>;
  /** Makes the root disk of its base image, as large as planned. One that is there already is only made larger. */
  makeRoot(
    disk: PlannedRootDisk,
    base: BaseImage | null,
    context: BackendContext,
    control: WorkControl,
  ): Promise<InstanceDisk>;
  /** The most that an ephemeral disk or a swap takes of the file system of the instances, in bytes. */
  blankBytes(disk: PlannedBlankDisk, preallocate: Preallocation): number;
  /** Makes an ephemeral disk with its file system, or a swap. */
  makeBlank(disk: PlannedBlankDisk, context: BackendContext, control: WorkControl): Promise<InstanceDisk>;
  /** Removes every disk of the owner's that is no file in the instance's directory. Absence is success. */
  removeDisks(owner: DiskOwner, control: RemovalControl): Promise<void>;
}
