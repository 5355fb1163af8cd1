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

/** The input of `createInstance`. The client has resolved the flavor and chosen the host. */
export interface CreateInstanceInput {
  readonly operationId: string;
  readonly host: string;
  readonly spec: SealedSpec;
  readonly flavor: Flavor;
  /** SHA-256 over everything in the spec that is not secret; the same request again has the same one. */
  readonly specDigest: string;
  /** Every host that may have the instance, `host` first; absent: `host` alone. */
  readonly hosts?: readonly string[];
  /**
   * For how long a host may be away until that is said, and the next one is taken. Absent in requests of earlier
   * releases.
   */
  readonly hostUnreachableAfterMs?: number;
}

/** The part of a request that a person may change while the operation is parked. */
export type RequestedInstance = Pick<CreateInstanceInput, 'spec' | 'flavor' | 'specDigest'>;

/** The result of `create`, which `everboot.json` keeps. */
export interface InstanceResult {
  readonly instanceId: string;
  readonly name: string;
  readonly host: string;
  readonly state: 'running' | 'defined' | 'disks';
  readonly directory: string;
  readonly disks: readonly InstanceDisk[];
  readonly domain?: string;
}

/** The input of `deleteInstance`. */
export interface DeleteInstanceInput {
  readonly operationId: string;
  readonly host: string;
  readonly instanceId: string;
  /** See `CreateInstanceInput`. */
  readonly hostUnreachableAfterMs?: number;
}

export interface DeleteInstanceResult {
  readonly instanceId: string;
  readonly host: string;
  /** False: there was nothing to delete. */
  readonly existed: boolean;
  /** The host that was abandoned: its orphans are removed when it is back. Absent: nothing is left anywhere. */
  readonly cleanupPendingOn?: string;
}

/** The input of `cleanUpHost`, the deferred cleanup of an operation on an abandoned host. */
export interface CleanUpHostInput {
  readonly host: string;
  readonly instanceId: string;
  /** The operation whose orphans go; null: whatever is there, except of one that runs by then or has ended well. */
  readonly operationId: string | null;
  /** For people. */
  readonly name: string;
  /** False: it had come to no domain, and libvirt need not be asked. Absent: it may have. */
  readonly withDomain?: boolean;
}

/** The Temporal workflow id of a deferred cleanup. */
export function cleanupWorkflowId({ host, instanceId, operationId }: Omit<CleanUpHostInput, 'name'>): string {
  return `cleanup/${host}/${instanceId}/${operationId ?? 'deleted'}`;
}

/** Everything that is decided before anything is made; a boot carries it out. */
export interface InstancePlan {
  readonly claim: Claim;
  readonly directory: string;
  readonly disks: DiskPlan;
  /** Images to have in the cache, the root's first. */
  readonly bases: readonly BaseImageOrder[];
  /**
   * The image whose properties shape the guest, where it is none of these: the guest boots from a volume or a clone.
   */
  readonly image?: ImageDescription;
  /** True: the root disk's file system grows with the disk. Absent in plans of earlier releases. */
  readonly growFileSystem?: boolean;
  /** The place where metadata is injected; null: it is not. Absent in plans of earlier releases. */
  readonly injection?: RootPlace | null;
  /** Present for a container: its root is a folder, made from the root disk. */
  readonly rootFileSystem?: true;
  /** True: libvirt gets a domain for the instance. */
  readonly define: boolean;
  /** True: the domain is started. */
  readonly start: boolean;
}

/** The search attributes that every operation carries; all are keywords. */
export const searchAttributeNames = ['EverbootHost', 'EverbootImage', 'EverbootPhase', 'EverbootName'] as const;

export type Phase =
  | 'Building'
  /** No worker of the host answers, but that is not long yet. */
  | 'WaitingForHost'
  /** No worker of the host has answered for longer than `host_unreachable_after`. */
  | 'HostUnreachable'
  /** Parked: a step failed permanently, and a person decides. */
  | 'NeedsOperator'
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
  | 'Reconciling'
  | 'Done';

export interface RetryRequest {
  /** The request with something changed in it; absent: it is the host that was changed. */
  readonly change?: RequestedInstance;
}

export interface AbandonRequest {
  /** True: the host never comes back. Nothing is asked of it any more; a deferred cleanup stays for it. */
  readonly hostGone?: boolean;
  /** The host that is meant: an operation that has moved to another one by then is not abandoned. Absent: whichever. */
  readonly host?: string;
}

/** Why an operation is parked, and since when. */
export interface ParkedReport {
  readonly code: string;
  readonly message: string;
  /** The action that a person takes while it is parked. */
  readonly remedy: string;
  /** One line for each mistake, where several were found together. */
  readonly problems?: readonly string[];
  readonly step?: string;
  /** Steps whose results stay while it waits, by their ids. */
  readonly keeps?: readonly string[];
  /** Milliseconds since 1970, as the next one. */
  readonly since: number;
  /** When it is abandoned by itself; absent: never. */
  readonly until?: number;
}

export type StepState = 'running' | 'done' | 'failed' | 'cancelled';

/** One step of an operation, as the query returns it and the details table shows it. */
export interface StepReport {
  /** The activity's id in history; pending activities are matched by it. */
  readonly activityId: string;
  /** The activity's name: `createRootDisk`. */
  readonly step: string;
  /** The step in words: "root disk: qcow2 overlay on 3f2a…, 20 GiB". */
  readonly summary: string;
  readonly state: StepState;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly endedAt?: number;
}

export interface OperationProgress {
  readonly operation: 'create' | 'delete' | 'inspect' | 'cache' | 'reconcile' | 'cleanup';
  readonly phase: Phase;
  readonly host: string;
  readonly steps: readonly StepReport[];
  /** Present while it is parked. */
  readonly parked?: ParkedReport;
  /** Since when no worker of the host answers; milliseconds since 1970. Absent while one does. */
  readonly hostAwaySince?: number;
}

/**
 * Kept in each run's memo, for clients that meet a run which they did not start, and for hosts that ask whether an
 * operation still is theirs: the workflow changes it when it goes to another host or builds again.
 */
export interface OperationMemo {
  readonly operation: 'create' | 'delete';
  /** Of the claims that the operation's effects carry now. */
  readonly operationId: string;
  /** The id that it began with, by which a run that was reset is known; absent: the same one. */
  readonly firstOperationId?: string;
  /** Counts the attempts that carry claims of their own, from 1; absent: it is the first. */
  readonly generation?: number;
  /** Present when the operation may park. */
  readonly onFailure?: 'hold';
  readonly specDigest?: string;
  readonly host: string;
  /**
   * Present on a creation that may run on this host alone, since an earlier operation has left the instance there, or
   * may have. It counts after a creation that failed, too: that has taken back only what it made itself.
   */
  readonly pinned?: true;
  readonly name?: string;
}
