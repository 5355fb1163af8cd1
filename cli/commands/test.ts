import { type Command, InvalidArgumentError } from 'commander';
import { outputOf } from '../output.ts';

/** The suites are no part of what is installed on a host, so nothing of the command line may depend on them. */
interface Suites {
  runSuites(names: readonly string[]): Promise<number>;
}

/** Boots with faults in combination, for as long as one likes: no suite, and run only by its name. */
interface Soak {
  runSoak(options: SoakOptions): Promise<number>;
}

interface SoakOptions {
  readonly seed?: number;
  readonly minutes?: number;
}

export function addTestCommand(program: Command): void {
  program
    .command('test [suite...]')
    .description('run all suites of tests, or those named; `soak` boots with faults at random')
    .option('--seed <number>', 'soak: the schedule to run (default: another one each time)', wholeNumber)
    .option('--minutes <number>', 'soak: for how long (default: 200 boots)', wholeNumber)
    .action(async (names: string[], options: SoakOptions, command: Command) => {
      const isSoak = names.length === 1 && names[0] === 'soak';
      if (!isSoak && (options.seed !== undefined || options.minutes !== undefined)) {
        command.error('--seed and --minutes are for `everboot test soak` alone');
      }
      const run = isSoak ? await soak(options) : await suites(names);
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

async function suites(names: readonly string[]): Promise<() => Promise<number>> {
  const { runSuites } = (await load('../../test/run-suites.ts')) as Suites;
  return () => runSuites(names);
}

async function soak(options: SoakOptions): Promise<() => Promise<number>> {
  const { runSoak } = (await load('../../test/durability/harness/soak.ts')) as Soak;
  return () => runSoak(options);
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
