import type { InstanceRecord } from '../../domain/instance-record.ts';
import {
  graceMs,
  judgeClaim,
  type OperationFacts,
  type ReconcileReason,
  type RecordFacts,
} from '../../domain/judge-claim.ts';
import { type Inventory, isOnThisHost, type Orphan } from '../../hypervisor/reconcile/inventory.ts';
import type { RecordState } from '../../hypervisor/reconcile/record-state.ts';
import type { Host } from '../context/host.ts';
import { type NewestRuns, runOf } from '../fencing/operation-runs.ts';

interface Knowledge {
  readonly host: Host;
  readonly inventory: Inventory;
  readonly askOnce: NewestRuns;
}

interface Judgement {
  readonly reason: ReconcileReason;
  readonly note: string;
}

/** Judges a possible orphan by its instance's record and by what Temporal knows now. */
export async function judgeOrphan(
  { host, inventory, askOnce }: Knowledge,
  orphan: Orphan,
  recordState: RecordState,
): Promise<Judgement> {
  const { claim } = orphan;
  const record = recordState === 'unreadable' ? undefined : recordState;
  try {
    const newest = await askOnce(claim.instanceId);
    const own = await runOf(claim, newest);
    const reason = judgeClaim({
      claim,
      newest,
      own,
      ...timing(host),
      host: host.configuration.host.name,
      record: record === undefined ? null : recordFacts(record),
      isRecordUnreadable: recordState === 'unreadable',
      hasDomain: inventory.libvirtAnswered ? orphan.domain !== null : null,
      isHere: isOnThisHost(orphan),
    });
    return { reason, note: noteOf(reason, newest, own, record) };
  } catch (error) {
    return { reason: 'NoAnswer', note: wordsOf(error) };
  }
}

/** The clock and the grace time of a verdict. */
export function timing({ reconcileGraceMs = graceMs }: Host): { readonly nowMs: number; readonly graceMs: number } {
  return { nowMs: Date.now(), graceMs: reconcileGraceMs };
}

function recordFacts({ claim, host, state, result }: InstanceRecord): RecordFacts {
  return { operationId: claim.operationId, host, state, hasDomain: result?.domain !== undefined };
}

function noteOf(
  reason: ReconcileReason,
  newest: OperationFacts | null,
  own: OperationFacts | null,
  record: InstanceRecord | undefined,
): string {
  if (reason === 'Ended' || reason === 'JustEnded') return `its operation ${own?.outcome ?? 'ended'}`;
  if (reason === 'Superseded')
    return `by a ${newest?.operation ?? 'later operation'} on ${newest?.host ?? 'some host'}`;
  if (reason === 'OtherHost') return `of ${record?.host ?? own?.host ?? newest?.host ?? 'an unknown host'}`;
  return '';
}

/** The error's message, short enough for a report. */
export function wordsOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 300);
}
