import type { CacheListing, ScrubReport, SweepReport } from './cache.ts';
import type { Claim } from './claim.ts';
import type {
  DiskPlan,
  InstanceDisk,
  PlannedBootFile,
  PlannedConfigDrive,
  PlannedEphemeralDisk,
  PlannedRootDisk,
  PlannedSwapDisk,
  PlannedVolume,
} from './disk-plan.ts';
import type { Flavor } from './flavors.ts';
import type { ReconcileOrder, ReconcileReport, ResumeReport } from './host-maintenance.ts';
import type { BaseImage, BaseImageOrder, ImageReference } from './image.ts';
import type { InstanceRecord } from './instance-record.ts';
import type { InstancePlan, InstanceResult } from './operations.ts';
import type { RootPlace } from './plan-injection.ts';
import type { InstanceSpec, SealedSpec } from './spec.ts';

/** A request, as the steps that need all of it get it; secrets go only to the step that writes them. */
export interface InstanceRequest {
  readonly claim: Claim;
  readonly spec: InstanceSpec;
  readonly flavor: Flavor;
  readonly specDigest: string;
}

/** The plan; or the result of the same request that was carried out before. */
export type PlannedInstance =
  | { readonly plan: InstancePlan; readonly ready: null }
  | { readonly plan: null; readonly ready: InstanceResult };

/** The input of each step that fetches a base image. */
export interface FetchOrder {
  readonly claim: Claim;
  readonly instanceName: string;
  readonly base: BaseImageOrder;
}

export interface BaseImageClaim {
  /** The cached file; null: it is this build’s to fetch. */
  readonly base: BaseImage | null;
}

export interface DownloadedBase {
  readonly sizeBytes: number;
  /** How many bytes an earlier attempt had left. */
  readonly resumedAtBytes: number;
  /** Why the image came through Glance's API, where the host would have copied Glance's file. Names no path. */
  readonly notDirect?: string;
}

export interface VerifiedBase {
  readonly virtualSizeBytes: number;
  /** True: the file has to be converted to raw before it is published. */
  readonly convert: boolean;
}

export interface DiskOrder<Planned> {
  readonly claim: Claim;
  readonly disk: Planned;
}

export interface BootFileOrder extends DiskOrder<PlannedBootFile> {
  readonly base: BaseImage;
}

export interface RootDiskOrder extends DiskOrder<PlannedRootDisk> {
  /** Null for a disk that is a clone. */
  readonly base: BaseImage | null;
}

export interface ConfigDriveOrder extends DiskOrder<PlannedConfigDrive> {
  readonly spec: SealedSpec;
  /** The guest's metadata says which device is which. */
  readonly disks: Pick<DiskPlan, 'root' | 'ephemerals' | 'swap' | 'volumes'>;
}

/** A root disk that is made, and whose contents a step changes. */
export type RootDiskChange = DiskOrder<PlannedRootDisk>;

export interface InjectionOrder extends RootDiskChange {
  readonly spec: SealedSpec;
  readonly place: RootPlace;
  /** The image's name in failures. */
  readonly title: string;
}

export interface InjectionReport {
  /** The injected items, in words. */
  readonly injected: readonly string[];
  /** The items that were not injected, and why. Quotes no secrets. */
  readonly warnings: readonly string[];
}

export interface GrowthReport {
  readonly resized: boolean;
  /** The action taken, or why there was none. */
  readonly note: string;
}

export interface DomainOrder {
  readonly claim: Claim;
  /** Volumes that exist already; absent: none, or the plan is of an earlier release. */
  readonly volumes?: readonly PlannedVolume[];
}

/** Which cached files to compare with their hashes; null: all that are due. With `force`, due or not. */
export interface ScrubOrder {
  readonly names: readonly string[] | null;
  readonly force: boolean;
}

export interface SweepOrder {
  /** True: nothing is removed. */
  readonly dryRun: boolean;
}

export interface PinOrder {
  /** The cached file's name. */
  readonly name: string;
  readonly pinned: boolean;
}

export interface PinReport {
  /** False: it was pinned, or not, as was asked for. */
  readonly changed: boolean;
}

export interface CleanupOrder {
  readonly instanceId: string;
  readonly operationId: string | null;
  /** False: libvirt is not asked. */
  readonly withDomain?: boolean;
}

/**
 * Every step that a host's worker carries out, by its activity's name; steps.ts has the nature of each. Each may run
 * twice, and each that makes something carries the claim of the operation it makes it for.
 */
export interface HostActivities {
  planInstance(request: InstanceRequest): Promise<PlannedInstance>;
  reserveInstance(order: { readonly request: InstanceRequest; readonly plan: InstancePlan }): Promise<void>;
  claimBaseImage(order: FetchOrder): Promise<BaseImageClaim>;
  downloadImage(order: FetchOrder): Promise<DownloadedBase>;
  verifyImage(order: FetchOrder): Promise<VerifiedBase>;
  convertImage(order: FetchOrder): Promise<void>;
  publishBaseImage(order: FetchOrder): Promise<BaseImage>;
  createRootDisk(order: RootDiskOrder): Promise<InstanceDisk>;
  extractRootFileSystem(order: RootDiskOrder): Promise<void>;
  createEphemeralDisk(order: DiskOrder<PlannedEphemeralDisk>): Promise<InstanceDisk>;
  createSwapDisk(order: DiskOrder<PlannedSwapDisk>): Promise<InstanceDisk>;
  copyBootFile(order: BootFileOrder): Promise<InstanceDisk>;
  writeConfigDrive(order: ConfigDriveOrder): Promise<InstanceDisk>;
  growFileSystem(order: RootDiskChange): Promise<GrowthReport>;
  injectFiles(order: InjectionOrder): Promise<InjectionReport>;
  defineDomain(order: DomainOrder): Promise<{ readonly domain: string }>;
  startDomain(order: DomainOrder): Promise<void>;
  markReady(order: { readonly claim: Claim; readonly result: InstanceResult }): Promise<void>;
  releaseInstance(order: { readonly claim: Claim }): Promise<void>;
  removeDomain(order: { readonly claim: Claim }): Promise<void>;
  /** Removes an operation's orphans from an abandoned host; without an id, see `CleanUpHostInput`. */
  removeOrphans(order: CleanupOrder): Promise<void>;
  readInstance(order: { readonly instanceId: string }): Promise<InstanceRecord | null>;
  deleteDomain(order: { readonly instanceId: string }): Promise<void>;
  deleteFiles(order: { readonly instanceId: string }): Promise<void>;
  pingHost(): Promise<void>;
  listCachedFiles(): Promise<CacheListing>;
  sweepCachedFiles(order: SweepOrder): Promise<SweepReport>;
  scrubCachedFiles(order: ScrubOrder): Promise<ScrubReport>;
  pinCachedFile(order: PinOrder): Promise<PinReport>;
  /** Describes an image before it is fetched into the cache without an instance. */
  planFetch(order: { readonly image: ImageReference }): Promise<BaseImageOrder>;
  reconcileHost(order: ReconcileOrder): Promise<ReconcileReport>;
  resumeGuests(): Promise<ResumeReport>;
}
