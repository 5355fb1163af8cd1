import { type Claim, claimName } from '../../domain/claim.ts';
import type { LibvirtSettings } from '../../domain/configuration.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import type { InstanceRecord } from '../../domain/instance-record.ts';
import type { ReconcileReason } from '../../domain/judge-claim.ts';
import type { RecordState } from './record-state.ts';

/** Everything that was found of one claim. */
export interface Orphan {
  readonly claim: Claim;
  /** Whether the instance's directory is this claim's. */
  directory: boolean;
  /** Its domain's state. */
  domain: 'running' | 'shut off' | null;
  /** Names in the cache that it claims, and those that it was to fetch. */
  readonly cacheNames: string[];
  readonly leases: string[];
  /** Promises of space. */
  promises: number;
  /** Logical volumes and images in a Ceph pool, by name. */
  readonly volumes: string[];
  readonly images: string[];
}

/** A partial file or folder with a name of everboot's pattern. */
export interface TemporaryFile {
  readonly path: string;
  /** Whose it is; null: it is among everboot's own notes. */
  readonly instanceId: string | null;
  /** True: it is an instance's whole folder, before it got its name or while it is removed. */
  readonly isFolder: boolean;
  readonly modifiedMs: number;
}

/** Something without a claim that everboot knows. */
export interface ForeignThing {
  readonly subject: string;
  readonly reason: Extract<ReconcileReason, 'NoClaim' | 'UnreadableRecord' | 'OtherFolder'>;
}

/** Everything on a host that is everboot's, or looks so. */
export interface Inventory {
  /** By instance id. */
  readonly records: Map<string, InstanceRecord>;
  /** Ids of the instances whose records could not be read. */
  readonly unreadable: Set<string>;
  /** By `claimName`. */
  readonly orphans: Map<string, Orphan>;
  readonly temporaryFiles: TemporaryFile[];
  readonly foreign: ForeignThing[];
  /** Places that could not be read. */
  readonly notes: string[];
  /** False: libvirt did not answer, so of no domain it is known whether it is there. */
  libvirtAnswered: boolean;
}

export interface InventoryPlace {
  readonly paths: HostPaths;
  readonly libvirt: LibvirtSettings;
  readonly signal: AbortSignal;
}

/** The possible orphan of a claim, empty where it is found for the first time. */
export function orphanOf({ orphans }: Inventory, claim: Claim): Orphan {
  const name = claimName(claim);
  const before = orphans.get(name);
  if (before !== undefined) return before;
  const found: Orphan = {
    claim,
    directory: false,
    domain: null,
    cacheNames: [],
    leases: [],
    promises: 0,
    volumes: [],
    images: [],
  };
  orphans.set(name, found);
  return found;
}

/** The state of an instance's record. */
export function recordStateIn({ records, unreadable }: Inventory, instanceId: string): RecordState {
  return unreadable.has(instanceId) ? 'unreadable' : records.get(instanceId);
}

/** An instance with what libvirt has of it. */
export interface Guest {
  readonly record: InstanceRecord;
  /** Whether it is to run, as far as its record says: it was ready, and started. */
  readonly wanted: boolean;
  readonly domain: Orphan['domain'];
}

/** Every instance that has a directory here. */
export function guestsOf({ records, orphans }: Inventory): Guest[] {
  return [...records.values()].map((record) => ({
    record,
    wanted: record.state === 'ready' && record.result?.state === 'running',
    domain: orphans.get(claimName(record.claim))?.domain ?? null,
  }));
}

/** Whether something of a claim is where only this host puts things: volumes and pools may be other hosts', too. */
export function isOnThisHost({ directory, domain, cacheNames, leases, promises }: Orphan): boolean {
  return directory || domain !== null || cacheNames.length + leases.length + promises > 0;
}

/** The parts of a claim, for people. */
export function partsOf({ directory, domain, cacheNames, leases, promises, volumes, images }: Orphan): string[] {
  return [
    ...(directory ? ['its directory'] : []),
    ...(domain === null ? [] : [`its domain, ${domain}`]),
    ...counted(volumes.length, 'logical volume', 'logical volumes'),
    ...counted(images.length, 'image in Ceph', 'images in Ceph'),
    ...counted(cacheNames.length, 'claim on the cache', 'claims on the cache'),
    ...counted(leases.length, 'fetch', 'fetches'),
    ...counted(promises, 'promise of space', 'promises of space'),
  ];
}

function counted(count: number, one: string, many: string): string[] {
  return count === 0 ? [] : [count === 1 ? `1 ${one}` : `${count} ${many}`];
}

/**
 * Looks at one thing. What does not answer, or is not what its place says, is noted, and keeps nothing else from being
 * found. Throws what is neither everboot's failure nor the operating system's word.
 */
export async function recordUnreadable(thing: string, { notes }: Inventory, look: () => Promise<void>): Promise<void> {
  try {
    await look();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (!(error instanceof EverbootFailure) && !/^E[A-Z0-9]+$/.test(code ?? '')) throw error;
    notes.push(`${thing} was not looked at: ${message}`);
  }
}
