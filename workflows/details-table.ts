import type { OperationProgress, StepReport } from '../domain/operations.ts';

/** More rows than any operation has; a bound on what the UI is given (20 kB). */
const maxRows = 60;

/** The table of steps that the Temporal UI shows as the workflow's current details, in Markdown. */
export function detailsTable({ operation, phase, host, steps }: OperationProgress): string {
  const rows = steps.slice(-maxRows).map((step) => `| ${cell(step.summary)} | ${state(step)} |`);
  const head = ['| step | state |', '|---|---|'];
  return [`**${operation} on ${cell(host)}: ${phase}**`, '', ...head, ...rows].join('\n');
}

function state({ state, startedAt, endedAt }: StepReport): string {
  if (endedAt === undefined) return state;
  const seconds = ((endedAt - startedAt) / 1000).toFixed(2);
  return `${state}, ${seconds} s`;
}

/** Names come from tenants: nothing of them may end the cell or become a link. */
function cell(text: string): string {
  return text
    .slice(0, 200)
    .replace(/[\\|`*_<>[\]\n\r]/g, (character) => (/[\n\r]/.test(character) ? ' ' : `\\${character}`));
}
