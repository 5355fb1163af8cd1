import type { Claim } from './claim.ts';
import type { ReconcileReason } from './judge-claim.ts';

/** Something that a reconciliation found, and why it stays or is removed; see docs/reconciling.md. */
export interface ReconciledItem {
  /** For people: `instance 5f0c…`, `the domain web-1`. */
  readonly subject: string;
  /** Whose it is; null: nobody’s that is known. */
  readonly claim: Claim | null;
  /** Its parts: `its directory`, `2 claims on the cache`. */
  readonly parts: readonly string[];
  readonly reason: ReconcileReason;
  /** Details beyond the reason: how the operation ended, why a removal failed. */
  readonly note: string;
}

/** The result of `reconcileHost`. Its lists are bounded; its counts are not. */
export interface ReconcileReport {
  readonly host: string;
  readonly dryRun: boolean;
  /** Removed items; in a dry run, those that would be removed. */
  readonly removed: readonly ReconciledItem[];
  /** Items that stay and need attention: healthy ready instances are only counted. */
  readonly kept: readonly ReconciledItem[];
  /** Everything that was found, by its reason. */
  readonly counts: Readonly<Partial<Record<ReconcileReason, number>>>;
  /** Places that could not be read, and why. */
  readonly notes: readonly string[];
  /** True: the host was started since its guests were last looked at, and it is set to start them again. */
  readonly resumeGuests: boolean;
}

export interface ReconcileOrder {
  /** True: nothing is changed. */
  readonly dryRun: boolean;
}

/** A guest that `resumeGuests` looked at. */
export interface ResumedGuest {
  readonly instanceId: string;
  readonly name: string;
  readonly outcome: 'started' | 'runs already' | 'left off';
  /** Why it was left off. */
  readonly note: string;
}

export interface ResumeReport {
  readonly host: string;
  /** Bounded, those that were left off first. */
  readonly guests: readonly ResumedGuest[];
  readonly started: number;
  readonly leftOff: number;
}

/** The result of the workflow `reconcileHost`. */
export interface ReconcileResult extends ReconcileReport {
  /** Null: there was nothing to start again. */
  readonly resumed: ResumeReport | null;
}

/** The Temporal workflow id of a host’s reconciliation. */
export function reconcileWorkflowId(host: string): string {
  return `host/${host}/reconcile`;
}
