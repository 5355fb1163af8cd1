import type { TendedItem, TendOrder, TendReport } from '../domain/host-care.ts';
import { type TendReason, tendReasons } from '../domain/judge-claim.ts';

/** As many as fit in a history several times a day. */
const maxListed = 200;

/** Puts together what became of everything that was met; what is well is only counted. */
export function reportOf(
  host: string,
  { dryRun }: TendOrder,
  items: readonly TendedItem[],
  notes: readonly string[],
): TendReport {
  const counts: Partial<Record<TendReason, number>> = {};
  for (const { reason } of items) counts[reason] = (counts[reason] ?? 0) + 1;
  const withAction = (action: 'remove' | 'leave' | 'report'): TendedItem[] =>
    items.filter(({ reason }) => tendReasons[reason].action === action);
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
function byWeight(items: readonly TendedItem[]): TendedItem[] {
  const isForeign = ({ reason }: TendedItem): boolean => reason === 'NoClaim' || reason === 'OtherFolder';
  return [...items.filter((item) => !isForeign(item)), ...items.filter(isForeign)];
}
