import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { longVariable, seedVariable } from './fixtures/sampled.ts';
import { stateDirectory } from './fixtures/state-directory.ts';
import { sharedServerEnvironment, startTemporalServer, type TestTemporalServer } from './fixtures/temporal-server.ts';
import { runChecks } from './run-checks.ts';
import { runFile } from './run-file.ts';
import {
  defaultFiguresFile,
  type Figures,
  keepFigures,
  keptFiguresFile,
  readFigures,
  slowestLines,
  unknownFigures,
} from './runner/figures.ts';
import { needsOf } from './runner/needs.ts';
import { runPool } from './runner/pool.ts';
import { openRunFolder, type RunFolder } from './runner/run-folder.ts';
import type { Job, Lanes } from './runner/schedule.ts';
import { type Selection, SelectionProblem, selectTests } from './runner/selection.ts';
import { suiteOf, timeoutOf } from './runner/suites.ts';
import { emptyTally, printTally, type Tally, tallyChecks, tallyFile } from './runner/tally.ts';

export interface RunOptions {
  /** Decides which cases of a large family run; absent: another one each time. */
  readonly seed?: number;
}

/** A long run is as long as its families. */
const longTimeoutMs = 6 * 3_600_000;

interface Run {
  readonly folder: RunFolder;
  readonly tally: Tally;
  readonly figures: Record<string, Figures>;
  /** The files in which nothing failed: what a broken file took says nothing of the next run. */
  readonly passing: Set<string>;
  readonly isLong: boolean;
}

/**
 * Runs the named suites and test files, or all, and prints what they do; the last line is `N passed, N failed`, and the
 * one before it says how many could not run here. Above them stand the failures, the slowest files, and where the run
 * keeps its list of titles. Returns the exit code: 1 when a test failed or none ran, 2 for a name that is nothing that
 * runs.
 */
export async function runSuites(names: readonly string[], { seed = newSeed() }: RunOptions = {}): Promise<number> {
  const selection = await selectTests(names, import.meta.dirname).catch((error: unknown) => {
    if (error instanceof SelectionProblem) return error;
    throw error;
  });
  if (selection instanceof SelectionProblem) {
    process.stderr.write(`${selection.message}\n`);
    return selection.exitCode;
  }
  const run: Run = {
    folder: await openRunFolder(stateDirectory()),
    tally: emptyTally(),
    figures: {},
    passing: new Set(),
    isLong: selection.isLong,
  };
  if (selection.withChecks) {
    process.stdout.write('\n== check\n');
    tallyChecks(run.tally, await runChecks());
  }
  if (selection.paths.length > 0) await runFiles(run, selection, seed);
  return await endRun(run, seed);
}

/** Runs files in one pool, with one Temporal for all, which saves each of them a second. */
async function runFiles(run: Run, { paths, isLong, unitFirst }: Selection, seed: number): Promise<void> {
  const cores = availableParallelism();
  const lanes: Lanes = { cpu: cores, waiting: cores };
  process.stdout.write(
    `\n== ${paths.length} files, ${lanes.cpu} at once and ${lanes.waiting} that wait, seed ${seed}\n`,
  );
  const known = {
    ...(await readFigures(defaultFiguresFile)),
    ...(await readFigures(keptFiguresFile(stateDirectory()))),
  };
  const jobs = paths.map((path): Job => {
    const { seconds, cpuSeconds } = known[path] ?? unknownFigures;
    return { path, rank: unitFirst && suiteOf(path) === 'unit' ? 0 : 1, seconds, cpuSeconds };
  });
  let server: TestTemporalServer | undefined;
  try {
    server = await startTemporalServer();
    Object.assign(process.env, sharedServerEnvironment(server), { [seedVariable]: `${seed}` });
    if (isLong) process.env[longVariable] = 'yes';
    const needsMachine = ({ path }: Job): boolean => needsOf(path).includes('machine');
    await runPool(
      jobs.filter((job) => !needsMachine(job)),
      lanes,
      (job) => runJob(run, job),
    );
    await runPool(jobs.filter(needsMachine), { cpu: 1, waiting: 0 }, (job) => runJob(run, job));
    if (run.tally.failed > 0 && server.databaseFile !== null) await run.folder.keepDatabase(server.databaseFile);
  } finally {
    await server?.stop();
  }
}

/** Runs one file and prints its results in one piece. */
async function runJob({ folder, tally, figures, passing, isLong }: Run, { path }: Job): Promise<void> {
  const keptIn = folder.ofFile(path);
  const file = join(import.meta.dirname, path);
  const ended = await runFile(file, { folder: keptIn, timeoutMs: isLong ? longTimeoutMs : timeoutOf(path) });
  figures[path] = ended.figures;
  tallyFile(tally, path, ended.outcomes, keptIn);
  if (!ended.outcomes.some(({ outcome }) => outcome === 'failed')) {
    passing.add(path);
    await folder.drop(path);
  }
  process.stdout.write(`${path} (${ended.figures.seconds.toFixed(1)} s)\n${withoutTotals(ended.said)}\n`);
}

/** The reporter's totals of one file would be taken for those of the run. */
function withoutTotals(said: string): string {
  return said.replaceAll(/^.*ℹ (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) .*\n/gm, '');
}

/** Keeps the figures and the titles, and prints the end. Returns the exit code. */
async function endRun({ folder, tally, figures, passing, isLong }: Run, seed: number): Promise<number> {
  // A long run takes other times than the runs that are to be scheduled.
  const ofPassing = Object.fromEntries(Object.entries(figures).filter(([path]) => passing.has(path)));
  if (!isLong) await keepFigures(stateDirectory(), ofPassing);
  await folder.keepFigures(figures);
  const titles = await folder.keepTitles(tally.titles);
  const slowest = slowestLines(figures);
  return printTally(tally, [
    ...(slowest.length > 0 ? ['', 'slowest:', ...slowest.map((line) => `  ${line}`)] : []),
    '',
    `titles: ${titles}`,
    `seed: ${seed}`,
  ]);
}

/** Small enough to be typed. */
function newSeed(): number {
  return randomInt(1, 1_000_000);
}

if (process.argv[1] === import.meta.filename) process.exitCode = await runSuites(process.argv.slice(2));
