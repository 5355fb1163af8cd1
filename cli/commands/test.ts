import { type Command, InvalidArgumentError } from 'commander';
import { outputOf } from '../output.ts';

/** The suites are no part of what is installed on a host, so nothing of the command line may depend on them. */
interface Suites {
  runSuites(names: readonly string[], options: TestOptions): Promise<number>;
}

interface Titles {
  printTitleChanges(before: string, after: string): Promise<number>;
}

/** Boots with faults in combination, for as long as one likes: no suite, and run only by its name. */
interface Soak {
  runSoak(options: TestOptions): Promise<number>;
}

interface TestOptions {
  readonly seed?: number;
  readonly minutes?: number;
}

const help = `
Suites: check, unit, host, workflows, durability, boot. Instead of a suite:
  FILE                 one file of tests
  quick                before a commit: checks, unit tests, workflows on a real server, one real boot
  long                 whole, the families of cases of which every other run takes a sample
  soak                 boots with faults at random
  titles BEFORE AFTER  how the tests of two runs differ, by the lists of titles that runs keep`;

export function addTestCommand(program: Command): void {
  program
    .command('test [suite...]')
    .description('run all tests, or the named suites or files')
    .option('--seed <number>', 'the samples, or the schedule of the soak, to run (default: new each time)', wholeNumber)
    .option('--minutes <number>', 'soak: for how long (default: 200 boots)', wholeNumber)
    .addHelpText('after', help)
    .action(async (names: string[], options: TestOptions, command: Command) => {
      const isSoak = names.length === 1 && names[0] === 'soak';
      if (!isSoak && options.minutes !== undefined) {
        command.error('--minutes is for `everboot test soak` alone');
      }
      const run = await runOf(names, options, command);
      const output = outputOf(command);
      if (!output.json) {
        process.exitCode = await run();
        return;
      }
      const { made: exitCode, said } = await withStandardError(run);
      const [, passed, failed] = /(\d+) passed, (\d+) failed[^\n]*\n$/.exec(said) ?? [];
      output.result({ passed: Number(passed ?? 0), failed: Number(failed ?? 0), exitCode }, '');
      process.exitCode = exitCode;
    });
}

async function runOf(names: readonly string[], options: TestOptions, command: Command): Promise<() => Promise<number>> {
  const [first, before, after, ...more] = names;
  if (first === 'titles') {
    if (before === undefined || after === undefined || more.length > 0)
      command.error('titles takes two lists of titles');
    const { printTitleChanges } = (await load('../../test/runner/compare-titles.ts')) as Titles;
    return () => printTitleChanges(before, after);
  }
  if (first === 'soak' && names.length === 1) {
    const { runSoak } = (await load('../../test/durability/harness/soak.ts')) as Soak;
    return () => runSoak(options);
  }
  const { runSuites } = (await load('../../test/run-suites.ts')) as Suites;
  return () => runSuites(names, options);
}

async function load(file: string): Promise<unknown> {
  return await import(new URL(file, import.meta.url).href);
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('a whole number was expected.');
  return Number(text);
}

/** Sends what the tests print to standard error, which leaves standard output to the one document. */
async function withStandardError<Made>(run: () => Promise<Made>): Promise<{ made: Made; said: string }> {
  const { write } = process.stdout;
  let said = '';
  process.stdout.write = ((text: string | Uint8Array) => {
    said = `${said}${Buffer.from(text as Uint8Array).toString()}`.slice(-1000);
    return process.stderr.write(text);
  }) as typeof write;
  try {
    return { made: await run(), said };
  } finally {
    process.stdout.write = write;
  }
}
