import type { OperationProgress, ParkedReport, StepReport } from '../domain/operations.ts';

/** More rows than any operation has; a bound on what the UI is given (20 kB). */
const maxRows = 60;

/** Of a spec's mistakes or an image's faults; all of them are in the failure itself. */
const maxProblems = 10;

/** The workflow's current details in the Temporal UI, in Markdown: the parked failure, and the steps. */
export function detailsTable(
  { operation, phase, host, steps, parked, hostAwaySince }: OperationProgress,
  id: string,
): string {
  const rows = steps.slice(-maxRows).map((step) => `| ${cell(step.summary)} | ${state(step)} |`);
  const head = ['| step | state |', '|---|---|'];
  const notes = [
    ...(parked === undefined ? [] : parkedLines(parked, id)),
    ...(hostAwaySince === undefined ? [] : [awayLine(host, hostAwaySince, id)]),
  ];
  return [`**${operation} on ${cell(host)}: ${phase}**`, '', ...notes, ...head, ...rows].join('\n');
}

/** The lines that a person decides by; the rows below have the same for each step. */
function parkedLines(
  { code, message, remedy, problems = [], step, keeps = [], since, until }: ParkedReport,
  id: string,
): string[] {
  const end = until === undefined ? '' : `; it is abandoned at ${time(until)}`;
  return [
    `**${code}**${step === undefined ? '' : ` in ${step}`}: ${cell(message, 600)}`,
    '',
    ...(problems.length === 0
      ? []
      : [...problems.slice(0, maxProblems).map((problem) => `- ${cell(problem, 300)}`), '']),
    `What to do: ${cell(remedy, 600)} To retry: \`everboot retry ${id}\`; to abandon it: \`everboot abandon ${id}\`.`,
    '',
    `It has waited since ${time(since)}; at ${time(Date.now())} that was ${span(Date.now() - since)}${end}. It has no slot and no ` +
      `reserved space, and keeps what these steps made: ${cell(keeps.join(', '), 600) || 'none'}.`,
    '',
  ];
}

function awayLine(host: string, since: number, id: string): string {
  return `No worker of ${cell(host)} has answered since ${time(since)}. Start it, or abandon the operation: \`everboot abandon ${id} --host-gone\`.\n`;
}

function state({ state, startedAt, endedAt }: StepReport): string {
  if (endedAt === undefined) return state;
  const seconds = ((endedAt - startedAt) / 1000).toFixed(2);
  return `${state}, ${seconds} s`;
}

function time(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** "4 min", "3 h", "2 d": as exact as a reminder has to be. */
function span(ms: number): string {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  if (minutes < 120) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} d`;
}

/** Names come from tenants: nothing of them may end the cell or become a link. */
export function cell(text: string, maxLength = 200): string {
  return text
    .slice(0, maxLength)
    .replace(/[\\|`*_<>[\]\n\r]/g, (character) => (/[\n\r]/.test(character) ? ' ' : `\\${character}`));
}
