import type { ReconciledItem, ReconcileResult, ResumeReport } from '../domain/host-maintenance.ts';
import { type ReconcileReason, reconcileReasons } from '../domain/judge-claim.ts';
import { textTable } from './text-table.ts';

/** A reconciliation as people read it: what is removed, what stays and why, then what to do about it. */
export function reconcileText({ host, dryRun, removed, kept, counts, notes, resumed }: ReconcileResult): string {
  const goes = dryRun ? 'would go' : 'removed';
  const rows = [
    ...removed.map((item) => [goes, ...itemCells(item)]),
    ...kept.map((item) => ['stays', ...itemCells(item)]),
  ];
  const reasons = [...new Set(kept.map(({ reason }) => reason))];
  return [
    ...(rows.length === 0 ? [] : textTable([['', 'WHAT', 'PARTS', 'WHY'], ...rows])),
    ...reasons.flatMap((reason) => remedyLine(reason)),
    ...notes.map((note) => `note: ${note}`),
    ...(resumed === null ? [] : resumedLines(resumed)),
    `${host}: ${totals(counts, dryRun)}`,
  ].join('\n');
}

function itemCells({ subject, parts, reason, note }: ReconciledItem): string[] {
  const why = reconcileReasons[reason].meaning.replace(/\.$/, '');
  return [subject, parts.join(', '), note === '' ? why : `${why} (${note})`];
}

function remedyLine(reason: ReconcileReason): string[] {
  const kind: { readonly meaning: string; readonly remedy?: string } = reconcileReasons[reason];
  return kind.remedy === undefined ? [] : [`${kind.meaning} → ${kind.remedy}`];
}

function totals(counts: ReconcileResult['counts'], dryRun: boolean): string {
  const of = { remove: 0, leave: 0, report: 0 };
  for (const [reason, count] of Object.entries(counts)) of[reconcileReasons[reason as ReconcileReason].action] += count;
  return `${of.remove} ${dryRun ? 'would be removed' : 'removed'}, ${of.report} to look at, ${of.leave} as they should be`;
}

function resumedLines({ guests, started, leftOff }: ResumeReport): string[] {
  const rows = guests.map(({ instanceId, name, outcome, note }) => [outcome, name, instanceId, note]);
  return [...textTable(rows, '  '), `guests after the host’s reboot: ${started} started, ${leftOff} left off`];
}
