import type { ReconciledItem, ReconcileOrder, ReconcileReport } from '../../domain/host-maintenance.ts';
import { type ReconcileReason, reconcileReasons } from '../../domain/judge-claim.ts';

/** As many as fit in a history several times a day. */
const maxListed = 200;

/** Puts together what became of everything that was found; what is well is only counted. */
export function reportOf(
  host: string,
  { dryRun }: ReconcileOrder,
  items: readonly ReconciledItem[],
  notes: readonly string[],
): ReconcileReport {
  const counts: Partial<Record<ReconcileReason, number>> = {};
  for (const { reason } of items) counts[reason] = (counts[reason] ?? 0) + 1;
  const withAction = (action: 'remove' | 'leave' | 'report'): ReconciledItem[] =>
    items.filter(({ reason }) => reconcileReasons[reason].action === action);
  const kept = [...byWeight(withAction('report')), ...withAction('leave').filter(({ reason }) => reason !== 'Ready')];
  return {
    host,
    dryRun,
    counts,
    resumeGuests: false,
    removed: withAction('remove').slice(0, maxListed),
    kept: kept.slice(0, maxListed),
    notes: notes.slice(0, 20).map((note) => note.slice(0, 500)),
  };
}

/** Nova's things may be many, and must not hide everboot's own. */
function byWeight(items: readonly ReconciledItem[]): ReconciledItem[] {
  const isForeign = ({ reason }: ReconciledItem): boolean => reason === 'NoClaim' || reason === 'OtherFolder';
  return [...items.filter((item) => !isForeign(item)), ...items.filter(isForeign)];
}
