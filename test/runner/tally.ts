import { clipped } from '../fixtures/failure-text.ts';
import type { TestOutcome } from '../fixtures/test-outcomes.ts';
import type { CheckResult } from '../run-checks.ts';

/** How the tests of a run ended. */
export interface Tally {
  passed: number;
  failed: number;
  readonly skipped: string[];
  /** The text of each failed test, below its file and its full name. */
  readonly failures: string[];
  /** Every test that ran, as `file: full name`. */
  readonly titles: string[];
}

export function emptyTally(): Tally {
  return { passed: 0, failed: 0, skipped: [], failures: [], titles: [] };
}

export function tallyChecks(tally: Tally, results: readonly CheckResult[]): void {
  for (const { name, passed, skipped, said = '' } of results) {
    const outcome = skipped !== undefined ? 'skipped' : passed ? 'passed' : 'failed';
    add(tally, `check: ${name}`, { name, outcome, reason: skipped ?? clipped(said) });
  }
}

/**
 * Adds the tests of a file, by its path in test/; the text of each failure ends with where the run keeps more of it.
 */
export function tallyFile(tally: Tally, path: string, outcomes: readonly TestOutcome[], keptIn: string): void {
  for (const { reason = '', ...test } of outcomes) {
    const text = test.outcome === 'failed' ? `${reason}\nits output and what its fixtures kept: ${keptIn}` : reason;
    add(tally, `${path}: ${test.name}`, { ...test, reason: text });
  }
}

function add(tally: Tally, title: string, { name, outcome, reason = '' }: TestOutcome): void {
  tally.titles.push(title);
  if (outcome === 'passed') tally.passed += 1;
  else if (outcome === 'skipped') tally.skipped.push(`${name}: ${reason}`);
  else {
    tally.failed += 1;
    tally.failures.push(`${title}\n${reason}`);
  }
}

/** Prints what was skipped and each failure, then the two lines of totals. Returns the exit code. */
export function printTally({ passed, failed, skipped, failures }: Tally, beforeTotals: readonly string[]): number {
  if (skipped.length > 0) process.stdout.write(`\nskipped:\n${skipped.map((line) => `  ${line}\n`).join('')}`);
  // Logs are often seen from their end only, and there a failure must be understood.
  if (failures.length > 0) process.stdout.write(`\nfailed:\n${failures.map(indented).join('\n')}`);
  process.stdout.write(beforeTotals.map((line) => `${line}\n`).join(''));
  process.stdout.write(`\n${skipped.length} skipped\n${passed} passed, ${failed} failed\n`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

/** A title, and below it the lines that belong to it. */
function indented(failure: string): string {
  const [title, ...lines] = failure.split('\n');
  return `  ${title}\n${lines.map((line) => `    ${line}\n`).join('')}`;
}
