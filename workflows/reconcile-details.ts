import type { ReconciledItem, ReconcileResult } from '../domain/host-maintenance.ts';
import { reconcileReasons } from '../domain/judge-claim.ts';
import { cell } from './details-table.ts';

/** A bound on what the UI is given (20 kB); the workflow's result has the rest. */
const maxRows = 40;

/** A reconciliation's findings, as the workflow's current details in the Temporal UI, in Markdown. */
export function reconcileDetails({ host, dryRun, removed, kept, notes, resumed }: ReconcileResult): string {
  const goes = dryRun ? 'would go' : 'removed';
  const rows = [...removed.map((item) => row(goes, item)), ...kept.map((item) => row('stays', item))];
  const more = rows.length > maxRows ? ['', `${rows.length - maxRows} more are in the result.`] : [];
  const table = rows.length === 0 ? [] : ['| | what | why |', '|---|---|---|', ...rows.slice(0, maxRows), ...more];
  return [
    `**reconcile on ${cell(host)}: ${removed.length} ${goes}, ${kept.length} stay and are reported**`,
    '',
    ...(resumed === null ? [] : [`${resumed.started} guests started, ${resumed.leftOff} left off`, '']),
    ...notes.slice(0, 5).flatMap((note) => [cell(note), '']),
    ...table,
  ].join('\n');
}

function row(what: string, { subject, reason, note }: ReconciledItem): string {
  return `| ${what} | ${cell(subject)} | ${cell([reconcileReasons[reason].meaning, note].filter(Boolean).join(' '))} |`;
}
