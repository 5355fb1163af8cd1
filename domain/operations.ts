import type { Claim } from './claim.ts';
import type { DiskPlan, InstanceDisk } from './disk-plan.ts';
import type { Flavor } from './flavors.ts';
import type { BaseImageOrder, ImageDescription } from './image.ts';
import type { RootPlace } from './plan-injection.ts';
import type { SealedSpec } from './spec.ts';

/** The Temporal workflow id of every operation on an instance, so that only one runs at a time. */
export function instanceWorkflowId(instanceId: string): string {
  return `instance/${instanceId}`;
}

/** What `createInstance` is started with. The flavor is resolved and the host is chosen by the client. */
export interface CreateInstanceInput {
  readonly operationId: string;
  readonly host: string;
  readonly spec: SealedSpec;
  readonly flavor: Flavor;
  /** SHA-256 over everything in the spec that is not secret; the same request again has the same one. */
  readonly specDigest: string;
}

/** What `create` returns and `everboot.json` keeps. */
export interface InstanceResult {
  readonly instanceId: string;
  readonly name: string;
  readonly host: string;
  readonly state: 'running' | 'defined' | 'disks';
  readonly directory: string;
  readonly disks: readonly InstanceDisk[];
  readonly domain?: string;
}

/** What `deleteInstance` is started with. */
export interface DeleteInstanceInput {
  readonly operationId: string;
  readonly host: string;
  readonly instanceId: string;
}

export interface DeleteInstanceResult {
  readonly instanceId: string;
  readonly host: string;
  /** False: there was nothing to delete. */
  readonly existed: boolean;
}

/** Everything that is decided before anything is made; a boot carries it out, `explain` only shows it. */
export interface InstancePlan {
  readonly claim: Claim;
  readonly directory: string;
  readonly disks: DiskPlan;
  /** Images to have in the cache, the root's first. */
  readonly bases: readonly BaseImageOrder[];
  /** The image whose properties shape the guest, where it is none of these: the guest boots from a volume or a clone. */
  readonly image?: ImageDescription;
  readonly osType: string;
  /** True: the root disk's file system grows with the disk. Absent in plans of earlier releases. */
  readonly growFileSystem?: boolean;
  /** Where the guest is told what it needs to know by injection; null: it is not. Absent in plans of earlier releases. */
  readonly injection?: RootPlace | null;
  /** Present for a container: its root is a folder, made from the root disk. */
  readonly rootFileSystem?: true;
  /** True: libvirt is told of the instance. */
  readonly define: boolean;
  /** True: the domain is started. */
  readonly start: boolean;
}

/** The search attributes that every operation carries; all are keywords. */
export const searchAttributeNames = ['EverbootHost', 'EverbootImage', 'EverbootPhase', 'EverbootName'] as const;

export type Phase =
  | 'Building'
  | 'WaitingForHost'
  | 'Undoing'
  | 'Ready'
  | 'Failed'
  | 'Cancelled'
  | 'Reading'
  | 'Deleting'
  | 'Deleted'
  | 'Sweeping'
  | 'Scrubbing'
  | 'Fetching'
  | 'Done';

/** Name of the workflow query that returns `OperationProgress`. */
export const progressQueryName = 'progress';

export type StepState = 'running' | 'done' | 'failed' | 'cancelled';

/** One step of an operation, as the query returns it and the details table shows it. */
export interface StepReport {
  /** The activity's id in history; pending activities are matched by it. */
  readonly activityId: string;
  /** The activity's name: `createRootDisk`. */
  readonly step: string;
  /** What a person reads: "root disk: qcow2 overlay on 3f2a…, 20 GiB". */
  readonly summary: string;
  readonly state: StepState;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly endedAt?: number;
}

export interface OperationProgress {
  readonly operation: 'create' | 'delete' | 'inspect' | 'cache';
  readonly phase: Phase;
  readonly host: string;
  readonly steps: readonly StepReport[];
}

/** Kept in each run's memo, for clients that meet a run which they did not start. */
export interface OperationMemo {
  readonly operation: 'create' | 'delete';
  readonly operationId: string;
  readonly specDigest?: string;
  readonly host: string;
  readonly name?: string;
}
