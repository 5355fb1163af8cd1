import type { Claim } from './claim.ts';

/** A run of an operation on an instance, as Temporal describes it. */
export interface OperationFacts {
  readonly operation: string;
  /** Null where the run does not say: something else than everboot’s client began it. */
  readonly operationId: string | null;
  readonly host: string | null;
  readonly outcome: 'open' | 'succeeded' | 'failed' | 'cancelled' | 'terminated' | 'timed out';
  /** When it ended; of an open one, when it began. */
  readonly sinceMs: number;
}

/** An instance's record on this host. */
export interface RecordFacts {
  readonly operationId: string;
  readonly host: string;
  readonly state: 'building' | 'ready';
  /** Whether the instance has a domain when it is ready. */
  readonly hasDomain: boolean;
}

interface Timing {
  readonly nowMs: number;
  /** For how long after the end of a run an attempt of its may still be at work. */
  readonly graceMs: number;
}

export interface ClaimFacts extends Timing {
  readonly claim: Claim;
  /** The host that is reconciled. */
  readonly host: string;
  /** Of the instance, whichever operation wrote it; null: there is none. */
  readonly record: RecordFacts | null;
  /** Whether there is a record that cannot be read: damaged, or of a later release. Then `record` is null. */
  readonly isRecordUnreadable: boolean;
  /** Whether libvirt has a domain with this claim; null: libvirt could not be asked. */
  readonly hasDomain: boolean | null;
  /** Whether something of the claim is where this host alone puts things, and not only in storage that hosts share. */
  readonly isHere: boolean;
  /** The instance's newest run; null: Temporal knows none. */
  readonly newest: OperationFacts | null;
  /** The run of the claim's own operation, as far as it is known. */
  readonly own: OperationFacts | null;
}

interface ReasonKind {
  /** `report`: it stays, and a person should look at it. */
  readonly action: 'remove' | 'leave' | 'report';
  readonly meaning: string;
  readonly remedy?: string;
}

/** A deletion frees the id: where another host has the instance, a second one could come to be. */
const deleteHere =
  'Where `everboot show ID`, with the workers of all hosts up, names no other host that has it, ' +
  '`everboot delete ID --host NAME` removes it.';
const lookAtIt = 'If it has no owner, remove it by hand.';

/** Every verdict of a reconciliation. */
export const reconcileReasons = {
  Ended: { action: 'remove', meaning: 'Its operation ended without success, and its undo did not reach it.' },
  Superseded: { action: 'remove', meaning: 'A later operation, or a later attempt on another host, replaced it.' },
  Orphaned: { action: 'remove', meaning: 'A partial file of everboot’s that no operation owns.' },
  Owned: { action: 'leave', meaning: 'Its operation runs, or is parked.' },
  Deleting: { action: 'leave', meaning: 'Its instance is being deleted.' },
  JustEnded: { action: 'leave', meaning: 'Its operation ended a moment ago, and may still have a running step.' },
  FreshFile: { action: 'leave', meaning: 'A partial file that is too new to count as orphaned.' },
  Ready: { action: 'leave', meaning: 'The instance is ready.' },
  ReadyUnknown: {
    action: 'report',
    meaning: 'The instance is ready, and Temporal does not know it.',
    remedy: 'No action needed if Temporal’s retention has passed: `show` and `delete` work from its record.',
  },
  ReadyElsewhere: {
    action: 'report',
    meaning: 'The instance is ready here, and Temporal says that it is now on another host.',
    remedy: 'Its deferred cleanup, a workflow `cleanup/…`, removes it. If that was terminated, remove it by hand.',
  },
  ReadyWithoutDomain: {
    action: 'report',
    meaning: 'The instance is ready, and libvirt has no domain for it.',
    remedy: 'Define it again from `libvirt.xml` in its directory (virsh define), or delete the instance.',
  },
  Unknown: {
    action: 'report',
    meaning: 'It is not ready, and Temporal does not know its operation.',
    remedy: `Make sure that this is the right Temporal and namespace. ${deleteHere}`,
  },
  BesideReady: {
    action: 'report',
    meaning:
      'The instance is ready, and this belongs to another operation on it that Temporal does not fully describe.',
    remedy: 'No action needed for files: they are removed with the instance. Inspect a domain with virsh first.',
  },
  Unmarked: {
    action: 'report',
    meaning: 'Its operation succeeded, and yet no record on this host says that the instance is ready.',
    remedy: `Somebody may have moved or removed its directory: put it back. ${deleteHere}`,
  },
  OtherHost: {
    action: 'report',
    meaning: 'It belongs to another host, by its record or by its operation.',
    remedy: 'If this host had another name before, give it back in `[host] name`; else that host reconciles it.',
  },
  Locked: {
    action: 'report',
    meaning: 'It is to be removed, and a program still holds it.',
    remedy: 'No action needed: the next reconciliation retries. A program of a killed worker holds it until that ends.',
  },
  NotRemoved: {
    action: 'report',
    meaning: 'It is to be removed, and the removal failed.',
    remedy: 'See the note; the next reconciliation retries.',
  },
  NoAnswer: {
    action: 'report',
    meaning: 'Temporal did not answer.',
    remedy: 'No action needed: the next reconciliation asks again.',
  },
  NoClaim: {
    action: 'report',
    meaning: 'It carries no claim of everboot’s: Nova or a person may have made it.',
    remedy: `Everboot never touches it. ${lookAtIt}`,
  },
  UnreadableRecord: {
    action: 'report',
    meaning: 'Its record is damaged, or of a later release.',
    remedy: `Restore \`everboot.json\`, or use the release that wrote it. ${lookAtIt}`,
  },
  OtherFolder: {
    action: 'report',
    meaning: 'The domain carries a claim, but its files are not in this host’s `instances_path`.',
    remedy: 'Another worker on this libvirt reconciles it; or, if `instances_path` was changed, change it back.',
  },
} as const satisfies Record<string, ReasonKind>;

export type ReconcileReason = keyof typeof reconcileReasons;

/** Several times as long as a worker that says nothing is taken for alive, and so may have an attempt at work. */
export const graceMs = 60_000;
const fileGraceMs = 3_600_000;

/**
 * The verdict on everything that carries one claim. It is removed only if it provably belongs to an operation that
 * ended without success, or that another one superseded. That Temporal does not know it proves nothing: runs are
 * forgotten.
 */
export function judgeClaim(facts: ClaimFacts): ReconcileReason {
  const { claim, host, record, newest, own, isHere } = facts;
  // It may say that the instance is ready, and that the claim is what keeps its disks' backing files.
  if (facts.isRecordUnreadable) return 'UnreadableRecord';
  const ownRecord = record?.operationId === claim.operationId ? record : null;
  if (ownRecord !== null && ownRecord.host !== host) return 'OtherHost';
  const open = newest?.outcome === 'open' ? newest : null;
  if (open?.operation === 'delete' && isOn(open, host)) return 'Deleting';
  if (ownRecord?.state === 'ready') return readyReason(ownRecord, facts);
  if (newest === null) return 'Unknown';
  if (open !== null && (open.operationId === null || open.operationId === claim.operationId)) {
    return isOn(open, host) ? 'Owned' : 'OtherHost';
  }
  if (own !== null && own.outcome !== 'open') return endedReason(own, facts);
  // What is left is a claim of which Temporal knows only that another operation came after it, or not even that.
  if (record?.state === 'ready') return besideReadyReason(record, newest, facts);
  if (newest.operationId === null) return 'Unknown';
  if (!isHere) return 'OtherHost';
  // A guest without its record: somebody may have moved its directory, and it may run on its disks.
  if (record === null && facts.hasDomain !== false) return 'Unknown';
  return isRecent(newest, facts) ? 'JustEnded' : 'Superseded';
}

function readyReason({ hasDomain, operationId }: RecordFacts, facts: ClaimFacts): ReconcileReason {
  const { newest, host } = facts;
  const isMoved = newest?.operation === 'create' && newest.operationId !== operationId && !isOn(newest, host);
  if (isMoved && (newest.outcome === 'open' || newest.outcome === 'succeeded')) return 'ReadyElsewhere';
  if (hasDomain && facts.hasDomain === false) return 'ReadyWithoutDomain';
  return newest === null ? 'ReadyUnknown' : 'Ready';
}

/**
 * An operation on a ready instance may have succeeded without being the one that made it. Only what came before the one
 * that did is superseded, as an earlier attempt of the same run is; and a domain is the guest's, whatever claim it
 * carries.
 */
function besideReadyReason(record: RecordFacts, newest: OperationFacts, facts: ClaimFacts): ReconcileReason {
  const { host, isHere, hasDomain } = facts;
  const isMadeByNewest = newest.outcome === 'succeeded' && newest.operationId === record.operationId;
  const isReadyHere = record.host === host && isOn(newest, host);
  if (!isMadeByNewest || !isReadyHere || hasDomain !== false) return 'BesideReady';
  if (!isHere) return 'OtherHost';
  return isRecent(newest, facts) ? 'JustEnded' : 'Superseded';
}

function endedReason(own: OperationFacts, facts: ClaimFacts): ReconcileReason {
  const { host, record, newest, isHere } = facts;
  if (own.outcome === 'succeeded') {
    if (record?.state === 'ready') return 'Ready';
    if (!isHere && !isOn(own, host)) return 'OtherHost';
    const isDeleted = newest?.operation === 'delete' && newest.outcome === 'succeeded' && isOn(newest, host);
    return isDeleted && record === null && isHere ? 'Superseded' : 'Unmarked';
  }
  if (!isHere && own.host !== host) return 'OtherHost';
  return isRecent(own, facts) ? 'JustEnded' : 'Ended';
}

function isRecent({ sinceMs }: OperationFacts, { nowMs, graceMs: withinMs }: Timing): boolean {
  return nowMs - sinceMs < withinMs;
}

/** A run that does not say its host is of this one: only everboot’s own client names it. */
function isOn({ host }: OperationFacts, name: string): boolean {
  return host === null || host === name;
}

/** Judges an instance's partial file or folder by its age and by its instance's runs. */
export function judgeTemporaryFile(
  file: Timing & { readonly modifiedMs: number; readonly newest: OperationFacts | null },
): ReconcileReason {
  const { nowMs, modifiedMs, newest } = file;
  if (newest?.outcome === 'open') return 'Owned';
  if (newest !== null && !isRecent(newest, file)) return 'Orphaned';
  return nowMs - modifiedMs >= fileGraceMs ? 'Orphaned' : 'FreshFile';
}
