import type { Command } from 'commander';
import { outputOf } from '../output.ts';

/** The suites are no part of what is installed on a host, so nothing of the command line may depend on them. */
interface Suites {
  runSuites(names: readonly string[]): Promise<number>;
}

export function addTestCommand(program: Command): void {
  program
    .command('test [suite...]')
    .description('run all suites of tests, or those named')
    .action(async (names: string[], _options: object, command: Command) => {
      const { runSuites } = (await import(new URL('../../test/run-suites.ts', import.meta.url).href)) as Suites;
      const output = outputOf(command);
      if (!output.json) {
        process.exitCode = await runSuites(names);
        return;
      }
      const { made: exitCode, said } = await withStandardError(() => runSuites(names));
      const [, passed, failed] = /(\d+) passed, (\d+) failed[^\n]*\n$/.exec(said) ?? [];
      output.result({ passed: Number(passed ?? 0), failed: Number(failed ?? 0), exitCode }, '');
      process.exitCode = exitCode;
    });
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
