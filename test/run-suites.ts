import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { sharedServerEnvironment, startOwnTemporalServer } from './fixtures/temporal-server.ts';
import { runChecks } from './run-checks.ts';

interface Suite {
  /** The folders of test/ whose files it has. */
  readonly folders: readonly string[];
  /** How many files run at once. */
  readonly concurrency: number;
  /** How long one file may take. */
  readonly fileTimeoutMs: number;
}

/** All suites, in their order: what is quick and says most comes first. */
const suites = {
  check: { folders: [], concurrency: 1, fileTimeoutMs: 0 },
  unit: { folders: ['domain', 'client', 'workers', 'cli', 'setup'], concurrency: 2, fileTimeoutMs: 180_000 },
  host: { folders: ['hypervisor', 'activities'], concurrency: 2, fileTimeoutMs: 300_000 },
  workflows: { folders: ['workflows', 'replay'], concurrency: 2, fileTimeoutMs: 300_000 },
  durability: { folders: ['durability'], concurrency: 2, fileTimeoutMs: 1_200_000 },
  boot: { folders: ['boot'], concurrency: 1, fileTimeoutMs: 900_000 },
} as const satisfies Record<string, Suite>;

type SuiteName = keyof typeof suites;

export const suiteNames = Object.keys(suites) as readonly SuiteName[];

interface Tally {
  passed: number;
  failed: number;
  readonly skipped: string[];
}

/**
 * Runs the named suites, or all, and prints what they do; the last line is `N passed, N failed`, with `, N skipped` where
 * a test could not run here. Returns the exit code: 1 when a test failed or none ran, 2 for a name that is no suite's.
 */
export async function runSuites(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => !Object.hasOwn(suites, name));
  if (unknown.length > 0) {
    process.stderr.write(`no suite is called ${unknown.join(', ')}; there are ${suiteNames.join(', ')}\n`);
    return 2;
  }
  const files = await testFiles();
  const tally: Tally = { passed: 0, failed: 0, skipped: [] };
  let server: Awaited<ReturnType<typeof startOwnTemporalServer>> | undefined;
  try {
    for (const name of suiteNames) {
      if (names.length > 0 && !names.includes(name)) continue;
      process.stdout.write(`\n== ${name}\n`);
      const own = files.get(name) ?? [];
      if (own.length > 0 && server === undefined) {
        // One server for all files, which saves each of them a second.
        server = await startOwnTemporalServer();
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

/** All test files by suite. Throws when one is in a folder that no suite has, since it would never run. */
async function testFiles(): Promise<Map<SuiteName, string[]>> {
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
  if (strays.length > 0) throw new Error(`no suite of test/run-suites.ts has ${strays.join(', ')}`);
  return files;
}

async function tallyChecks(tally: Tally): Promise<void> {
  for (const { name, passed, skipped } of await runChecks()) {
    if (skipped !== undefined) tally.skipped.push(`${name}: ${skipped}`);
    else if (passed) tally.passed += 1;
    else tally.failed += 1;
  }
}

async function tallyFiles(suite: Suite, files: readonly string[], tally: Tally): Promise<void> {
  if (files.length === 0) return;
  const events = run({ files, concurrency: suite.concurrency, timeout: suite.fileTimeoutMs });
  events.on('test:pass', ({ name, skip, todo, details }) => {
    if (details.type === 'suite' || todo) return;
    if (skip) tally.skipped.push(`${name}: ${skip === true ? 'no reason given' : skip}`);
    else tally.passed += 1;
  });
  events.on('test:fail', ({ todo, details }) => {
    if (details.type !== 'suite' && !todo) tally.failed += 1;
  });
  for await (const text of events.compose(new spec())) process.stdout.write(text);
}

function printEnd({ passed, failed, skipped }: Tally): number {
  if (skipped.length > 0) process.stdout.write(`\nskipped:\n${skipped.map((line) => `  ${line}\n`).join('')}`);
  const end = skipped.length > 0 ? `, ${skipped.length} skipped` : '';
  process.stdout.write(`\n${passed} passed, ${failed} failed${end}\n`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) process.exitCode = await runSuites(process.argv.slice(2));
