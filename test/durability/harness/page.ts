import type { Case } from './check-outcome.ts';
import { expectedOutcome, type FaultName, faultNames, faults, type Outcome } from './faults.ts';
import { injectedElsewhere, type Procedure, procedures, type Step } from './procedures.ts';

export const pageFile = new URL('../../../docs/durability.md', import.meta.url).pathname;

const begin = '<!-- Made by test/durability/matrix.test.ts: from here -->';
const end = '<!-- to here -->';

const outcomeWords = {
  whole: {
    mark: 'W',
    words: 'the operation continues, or had done its work; the instance is whole, and like one that was not disturbed',
  },
  undone: { mark: 'U', words: 'the operation fails and says at which step; nothing is left' },
  cancelled: { mark: 'C', words: 'the operation ends as cancelled; nothing of it is left' },
  swept: {
    mark: 'S',
    words: 'nothing is left to undo it; reconciling the host, and sweeping its cache, removes its orphans',
  },
  gone: { mark: 'G', words: 'the removal continues; nothing is left' },
  again: { mark: 'A', words: 'the removal ends before its time; deleting the instance again leaves nothing' },
} as const satisfies Record<Outcome, { readonly mark: string; readonly words: string }>;

/** The part of the page that the harness makes: each case, and how it has to end for its test to pass. */
export function madeTables(cases: readonly Case[]): string {
  const lines = [
    begin,
    '',
    ...faultNames.map((fault, index) => `${index + 1}. ${faults[fault].title}`),
    '',
    ...Object.values(outcomeWords).map(({ mark, words }) => `- **${mark}**: ${words}`),
    '- (empty): no fault is injected here; a step that runs no program has none to be killed, and an undo has no permanent failure',
    '',
    ...procedures.flatMap((procedure) => tableOf(procedure, cases)),
    ...countsOf(cases),
    '',
    end,
  ];
  return lines.join('\n');
}

function tableOf(procedure: Procedure, cases: readonly Case[]): string[] {
  const marks = (step: Step, fault: FaultName): string => {
    const isCase = cases.some((one) => one.procedure === procedure && one.step === step && one.fault === fault);
    return isCase ? outcomeWords[expectedOutcome(procedure, step, fault)].mark : ' ';
  };
  const how = procedure.injections === 'every' ? 'every step, every fault' : 'each step, and each fault';
  return [
    `### ${procedure.name[0]?.toUpperCase()}${procedure.name.slice(1)}: ${how}`,
    '',
    `| step | ${faultNames.map((_, index) => index + 1).join(' | ')} |`,
    `|---|${faultNames.map(() => '---').join('|')}|`,
    ...procedure.steps.map((step) => `| \`${step}\` | ${faultNames.map((fault) => marks(step, fault)).join(' | ')} |`),
    '',
  ];
}

function countsOf(cases: readonly Case[]): string[] {
  const steps = new Set(cases.map(({ step }) => step));
  const ways = new Set(cases.map(({ fault }) => fault));
  const elsewhere = Object.entries(injectedElsewhere).map(([step, file]) => `\`${step}\` (${file})`);
  return [
    `${cases.length} cases: ${steps.size} steps, ${ways.size} faults to inject, ${procedures.length} procedures.`,
    '',
    `Faults are injected in tests of their own: ${elsewhere.join(', ')}.`,
  ];
}

/** The page with its made part replaced. Throws when the page has no such part. */
export function withTables(page: string, tables: string): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error('the page has no place for the tables');
  return `${page.slice(0, from)}${tables}${page.slice(to + end.length)}`;
}
