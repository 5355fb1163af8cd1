import type { Claim } from './claim.ts';
import type { OutsideStorage } from './disk-plan.ts';
import type { InstanceResult } from './operations.ts';

/** The name of an instance's record, beside its disks. */
export const instanceRecordName = 'everboot.json';

/**
 * A host's knowledge of an instance: its claims while it is built, its result when it is ready. It is the truth after
 * Temporal has forgotten the instance. It never holds a secret.
 */
export interface InstanceRecord {
  readonly version: 1;
  readonly claim: Claim;
  readonly name: string;
  readonly host: string;
  readonly specDigest: string;
  /** Every name in the cache on which the instance has a claim. */
  readonly cacheNames: readonly string[];
  /**
   * Where those of its disks are that are no files in its directory; null: none. Absent in records of earlier releases.
   */
  readonly storage?: OutsideStorage | null;
  /** False: its plan has no domain, so that it needs no libvirt to be removed. Absent: it may have one. */
  readonly domain?: false;
  readonly state: 'building' | 'ready';
  /** When the directory was made, ISO 8601. */
  readonly createdAt: string;
  /** Present as soon as the instance is ready. */
  readonly result?: InstanceResult;
}

/** Whether the instance never had a domain, by its plan or by what was made. */
export function isWithoutDomain({ domain, result }: Pick<InstanceRecord, 'domain' | 'result'>): boolean {
  return domain === false || (result !== undefined && result.domain === undefined);
}

/** Whether a parsed file is a record that this release understands, of that instance. */
export function isInstanceRecord(value: unknown, instanceId: string): value is InstanceRecord {
  const record = value as InstanceRecord | null | undefined;
  return (
    record?.version === 1 && record.claim?.instanceId === instanceId && typeof record.claim.operationId === 'string'
  );
}
