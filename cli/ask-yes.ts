import { EverbootFailure } from '../domain/failures.ts';

/**
 * Asks on the terminal whether something that cannot be taken back is meant. Throws UsageInvalid where it is not, and where
 * nobody is there to be asked.
 */
export async function askYes(question: string): Promise<void> {
  const remedy = 'Say --yes where it is meant.';
  if (process.stdin.isTTY !== true) throw new EverbootFailure('UsageInvalid', question, { remedy });
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question}\nIs that so? [y/N] `);
    if (!/^y(es)?$/i.test(answer.trim())) throw new EverbootFailure('UsageInvalid', 'it was not confirmed', { remedy });
  } finally {
    terminal.close();
  }
}
