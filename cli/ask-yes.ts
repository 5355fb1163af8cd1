import { EverbootFailure } from '../domain/failures.ts';

/**
 * Asks on the terminal whether something that cannot be taken back is meant. Throws UsageInvalid where nobody is there
 * to be asked.
 */
export async function askYes(question: string): Promise<boolean> {
  if (process.stdin.isTTY !== true) {
    throw new EverbootFailure('UsageInvalid', question, { remedy: 'Repeat the command with --yes.' });
  }
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question}\nContinue? [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}
