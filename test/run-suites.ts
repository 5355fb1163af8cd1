import { glob } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { clipped } from './fixtures/failure-text.ts';
import { sharedServerEnvironment, startTemporalServer, type TestTemporalServer } from './fixtures/temporal-server.ts';
import { runChecks } from './run-checks.ts';
import { runFile } from './run-file.ts';

interface Suite {
  /** The folders of test/ whose files it has. */
  readonly folders: readonly string[];
  /** How many files run at once. */
  readonly concurrency: number;
  /** How long one file may take. */
  readonly fileTimeoutMs: number;
  /** The file that takes longest: it is begun first, so that the others run beside it, and has a time of its own. */
  readonly longest?: { readonly name: string; readonly timeoutMs: number };
}

/** All suites, in their order: what is quick and says most comes first. */
const suites = {
  check: { folders: [], concurrency: 1, fileTimeoutMs: 0 },
  unit: { folders: ['domain', 'client', 'workers', 'cli', 'setup'], concurrency: 2, fileTimeoutMs: 600_000 },
  host: { folders: ['hypervisor', 'activities'], concurrency: 2, fileTimeoutMs: 2_700_000 },
  workflows: { folders: ['workflows', 'releases'], concurrency: 2, fileTimeoutMs: 900_000 },
  durability: {
    folders: ['durability'],
    concurrency: 2,
    fileTimeoutMs: 900_000,
    longest: { name: 'matrix.test.ts', timeoutMs: 3_000_000 },
  },
  boot: { folders: ['boot'], concurrency: 1, fileTimeoutMs: 900_000 },
} as const satisfies Record<string, Suite>;

type SuiteName = keyof typeof suites;

export const suiteNames = Object.keys(suites) as readonly SuiteName[];

interface Tally {
  passed: number;
  failed: number;
  readonly skipped: string[];
  /** What each failed test has to say, under its file and its full name. */
  readonly failures: string[];
}

/**
 * Runs the named suites, or all, and prints what they do; the last line is `N passed, N failed`, and the one before it
 * says how many could not run here. Above them stands what each failed test has to say. Returns the exit code: 1 when a test failed or none ran, 2 for a name that is no suite's.
 */
export async function runSuites(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => !Object.hasOwn(suites, name));
  if (unknown.length > 0) {
    process.stderr.write(`no suite is called ${unknown.join(', ')}; there are ${suiteNames.join(', ')}\n`);
    return 2;
  }
  const { files, strays } = await testFiles();
  if (strays.length > 0) {
    process.stderr.write(`no suite of test/run-suites.ts has ${strays.join(', ')}\n`);
    return 1;
  }
  const tally: Tally = { passed: 0, failed: 0, skipped: [], failures: [] };
  let server: TestTemporalServer | undefined;
  try {
    for (const name of suiteNames) {
      if (names.length > 0 && !names.includes(name)) continue;
      process.stdout.write(`\n== ${name}\n`);
      const own = files.get(name) ?? [];
      if (own.length > 0 && server === undefined) {
        // One server for all files, which saves each of them a second.
        server = await startTemporalServer();
        Object.assign(process.env, sharedServerEnvironment(server));
      }
      if (name === 'check') await tallyChecks(tally);
      else await tallyFiles(suites[name], own, tally);
    }
  } finally {
    await server?.stop();
  }
  return printEnd(tally);
}

/** All test files by suite, and those in folders that no suite has, which would never run. */
async function testFiles(): Promise<{ files: Map<SuiteName, string[]>; strays: string[] }> {
  const suiteOf = new Map(
    suiteNames.flatMap((name) => suites[name].folders.map((folder): [string, SuiteName] => [folder, name])),
  );
  const files = new Map<SuiteName, string[]>();
  const strays: string[] = [];
  for await (const file of glob('**/*.test.ts', { cwd: import.meta.dirname })) {
    const suite = suiteOf.get(file.split('/')[0] ?? '');
    if (suite === undefined) strays.push(file);
    else files.set(suite, [...(files.get(suite) ?? []), join(import.meta.dirname, file)].sort());
  }
  return { files, strays };
}

async function tallyChecks(tally: Tally): Promise<void> {
  for (const { name, passed, skipped, said = '' } of await runChecks()) {
    if (skipped !== undefined) tally.skipped.push(`${name}: ${skipped}`);
    else if (passed) tally.passed += 1;
    else {
      tally.failed += 1;
      tally.failures.push(`check: ${name}\n${clipped(said)}`);
    }
  }
}

async function tallyFiles(suite: Suite, files: readonly string[], tally: Tally): Promise<void> {
  const { longest, fileTimeoutMs } = suite;
  const isLongest = (file: string): boolean => basename(file) === longest?.name;
  const waiting = [...files.filter(isLongest), ...files.filter((file) => !isLongest(file))];
  const lane = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      await tallyFile(file, (isLongest(file) ? longest?.timeoutMs : undefined) ?? fileTimeoutMs, tally);
    }
  };
  await Promise.all(Array.from({ length: suite.concurrency }, lane));
}

/** Runs one file and prints its results in one piece. */
async function tallyFile(file: string, timeoutMs: number, tally: Tally): Promise<void> {
  const started = Date.now();
  const { outcomes, said } = await runFile(file, timeoutMs);
  const path = relative(import.meta.dirname, file);
  for (const { name, outcome, reason = '' } of outcomes) {
    if (outcome === 'passed') tally.passed += 1;
    else if (outcome === 'skipped') tally.skipped.push(`${name}: ${reason}`);
    else {
      tally.failed += 1;
      tally.failures.push(`${path}: ${name}\n${reason}`);
    }
  }
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  process.stdout.write(`${path} (${seconds} s)\n${withoutTotals(said)}\n`);
}

/** The reporter's totals of one file would be taken for those of the run. */
function withoutTotals(said: string): string {
  return said.replaceAll(/^.*ℹ (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) .*\n/gm, '');
}

function printEnd({ passed, failed, skipped, failures }: Tally): number {
  if (skipped.length > 0) process.stdout.write(`\nskipped:\n${skipped.map((line) => `  ${line}\n`).join('')}`);
  // Logs are often seen from their end only, and there a failure must be understood.
  if (failures.length > 0) process.stdout.write(`\nfailed:\n${failures.map(indented).join('\n')}`);
  process.stdout.write(`\n${skipped.length} skipped\n${passed} passed, ${failed} failed\n`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

/** A title, and below it the lines that belong to it. */
function indented(failure: string): string {
  const [title, ...lines] = failure.split('\n');
  return `  ${title}\n${lines.map((line) => `    ${line}\n`).join('')}`;
}

if (process.argv[1] === import.meta.filename) process.exitCode = await runSuites(process.argv.slice(2));
