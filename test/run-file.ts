import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { failureText } from './fixtures/failure-text.ts';
import { endLeftProcesses } from './fixtures/left-processes.ts';
import type { TestOutcome } from './fixtures/test-outcomes.ts';

export interface FileRun {
  readonly outcomes: readonly TestOutcome[];
  /** All that the file's process and its children printed, with node:test's own report. */
  readonly said: string;
}

/** By it every process that a file has started is known. */
const fileVariable = 'EVERBOOT_TEST_FILE';

/** What a file's tests may take to end in good order once they are told to. */
const graceMs = 10_000;

const ownName = 'the file itself';

/**
 * Runs one file of tests in a process of its own. It prints into a file and not into a pipe, which a process left behind
 * would hold open, so that its end would never be seen. A file that takes too long is ended, and so is every process
 * that one leaves behind; both are failures.
 */
export async function runFile(file: string, timeoutMs: number): Promise<FileRun> {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-run-'));
  const [printed, told] = [join(folder, 'printed'), join(folder, 'outcomes')];
  try {
    const end = await endOf(file, { printed, told, timeoutMs, mark: folder });
    const left = await endLeftProcesses(fileVariable, folder);
    const said = await readFile(printed, 'utf8');
    const outcomes = outcomesIn(await readFile(told, 'utf8').catch(() => ''));
    return { outcomes: [...outcomes, ...ownFailures(end, { outcomes, left, said })], said };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface ProcessEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Set where it was not the file that ended. */
  readonly tookTooLong?: string;
}

interface RunOptions {
  readonly printed: string;
  readonly told: string;
  readonly timeoutMs: number;
  readonly mark: string;
}

async function endOf(file: string, { printed, told, timeoutMs, mark }: RunOptions): Promise<ProcessEnd> {
  const reporters = [
    ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
    ...[`--test-reporter=${join(import.meta.dirname, 'fixtures/test-outcomes.ts')}`],
    `--test-reporter-destination=${told}`,
  ];
  // By this variable node:test knows that it runs inside of itself, and then does not report.
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const output = await open(printed, 'a');
  try {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...reporters, file], {
      env: { ...environment, [fileVariable]: mark },
      stdio: ['ignore', output.fd, output.fd],
    });
    const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    let tookTooLong: string | undefined;
    const timers = [
      setTimeout(() => {
        tookTooLong = `it did not end within ${timeoutMs / 1000} s`;
        child.kill('SIGTERM');
      }, timeoutMs),
      setTimeout(() => child.kill('SIGKILL'), timeoutMs + graceMs),
    ];
    const [exitCode, signal] = await ended;
    for (const timer of timers) clearTimeout(timer);
    return { exitCode, signal, ...(tookTooLong === undefined ? {} : { tookTooLong }) };
  } finally {
    await output.close();
  }
}

/** The last line of a process that was killed may be half a line. */
function outcomesIn(text: string): TestOutcome[] {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** What no test of the file tells: that its process ended badly, or left others behind. */
function ownFailures(
  { exitCode, signal, tookTooLong }: ProcessEnd,
  { outcomes, left, said }: { outcomes: readonly TestOutcome[]; left: readonly string[]; said: string },
): TestOutcome[] {
  const failed = (reason: string): TestOutcome => ({ name: ownName, outcome: 'failed', reason });
  const failures: TestOutcome[] = [];
  const isTold = exitCode === 1 && outcomes.some(({ outcome }) => outcome === 'failed');
  if (tookTooLong !== undefined) failures.push(failed(tookTooLong));
  else if (exitCode !== 0 && !isTold) failures.push(failed(failureText({ message: '', exitCode, signal }, said)));
  if (left.length > 0) failures.push(failed(`it left processes behind, which were ended:\n${left.join('\n')}`));
  return failures;
}
