import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { evidenceVariable } from './fixtures/evidence.ts';
import { failureText } from './fixtures/failure-text.ts';
import { readText, signal as send } from './fixtures/host-programs.ts';
import { endLeftProcesses } from './fixtures/left-processes.ts';
import type { TestOutcome } from './fixtures/test-outcomes.ts';
import type { Figures } from './runner/figures.ts';

export interface FileRun {
  readonly outcomes: readonly TestOutcome[];
  /** All that the file's process and its children printed, with node:test's own report. */
  readonly said: string;
  readonly figures: Figures;
}

export interface FileOptions {
  /** A new folder of the run, in which stays what the file printed and what its fixtures keep. */
  readonly folder: string;
  readonly timeoutMs: number;
}

/** By it every process that a file has started is known. */
const fileVariable = 'EVERBOOT_TEST_FILE';

/** The time that a file's tests have to end in good order once they are asked to. */
const graceMs = 10_000;

const ownName = 'the file itself';

/** Runs a command and writes what it and its descendants cost into a file; ends as the command did. */
const measured = `"$@"
status=$?
times >"$0"
if [ $status -gt 128 ]; then kill -$((status - 128)) $$; fi
exit $status`;

/**
 * Runs one file of tests in a process of its own. It prints into a file and not into a pipe, which a process left
 * behind would hold open, so that its end would never be seen. A file that takes too long is ended, and so is every
 * process that one leaves behind; both are failures.
 */
export async function runFile(file: string, options: FileOptions): Promise<FileRun> {
  const { folder } = options;
  await mkdir(folder, { recursive: true });
  const started = Date.now();
  const end = await endOf(file, options);
  const seconds = (Date.now() - started) / 1000;
  const left = await endLeftProcesses(fileVariable, folder);
  const said = await readFile(join(folder, 'printed'), 'utf8');
  const outcomes = outcomesIn(readText(join(folder, 'outcomes')));
  return {
    outcomes: [...outcomes, ...ownFailures(end, { outcomes, left, said })],
    said,
    figures: { seconds, cpuSeconds: cpuSecondsIn(readText(join(folder, 'times'))) },
  };
}

interface ProcessEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Set where it was not the file that ended. */
  readonly tookTooLong?: string;
}

async function endOf(file: string, { folder, timeoutMs }: FileOptions): Promise<ProcessEnd> {
  const reporters = [
    ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
    ...[`--test-reporter=${join(import.meta.dirname, 'fixtures/test-outcomes.ts')}`],
    `--test-reporter-destination=${join(folder, 'outcomes')}`,
  ];
  // By this variable node:test knows that it runs inside of itself, and then does not report.
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', ...reporters, file];
  const output = await open(join(folder, 'printed'), 'a');
  try {
    const child = spawn('sh', ['-c', measured, join(folder, 'times'), ...command], {
      env: { ...environment, [fileVariable]: folder, [evidenceVariable]: join(folder, 'evidence') },
      stdio: ['ignore', output.fd, output.fd],
    });
    const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    let tookTooLong: string | undefined;
    const timers = [
      setTimeout(() => {
        tookTooLong = `it did not end within ${timeoutMs / 1000} s`;
        for (const pid of childrenOf(child.pid)) send(pid, 'SIGTERM');
      }, timeoutMs),
      setTimeout(() => {
        for (const pid of childrenOf(child.pid)) send(pid, 'SIGKILL');
      }, timeoutMs + graceMs),
    ];
    const [exitCode, signal] = await ended;
    for (const timer of timers) clearTimeout(timer);
    return { exitCode, signal, ...(tookTooLong === undefined ? {} : { tookTooLong }) };
  } finally {
    await output.close();
  }
}

/** The shell that measures has one child: the file's process. */
function childrenOf(pid = 0): number[] {
  return readText(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
}

/** The second line of `times`: what all children have cost, in the processor's user and system mode. */
function cpuSecondsIn(times: string): number {
  const [, children = ''] = times.split('\n');
  const parts = [...children.matchAll(/(\d+)m([\d.]+)s/g)];
  return parts.reduce((total, [, minutes, seconds]) => total + Number(minutes) * 60 + Number(seconds), 0);
}

/** The last line of a process that was killed may be half a line. */
function outcomesIn(text: string): TestOutcome[] {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** Failures that no test of the file reports: its process ended badly, or left others behind. */
function ownFailures(
  { exitCode, signal, tookTooLong }: ProcessEnd,
  { outcomes, left, said }: { outcomes: readonly TestOutcome[]; left: readonly string[]; said: string },
): TestOutcome[] {
  const failed = (reason: string): TestOutcome => ({ name: ownName, outcome: 'failed', reason });
  const failures: TestOutcome[] = [];
  const isReported = exitCode === 1 && outcomes.some(({ outcome }) => outcome === 'failed');
  if (tookTooLong !== undefined) failures.push(failed(tookTooLong));
  else if (exitCode !== 0 && !isReported) failures.push(failed(failureText({ message: '', exitCode, signal }, said)));
  if (left.length > 0) failures.push(failed(`it left processes behind, which were ended:\n${left.join('\n')}`));
  return failures;
}
