import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A row of docs/glossary.md. */
export interface Term {
  /** Our words, the row's bold ones. */
  readonly ours: readonly string[];
  /** Rejected words and phrases, in lower case, their parts divided by spaces. */
  readonly rejected: readonly string[];
}

/** The rows of a checkout's glossary. */
export async function readGlossary(root: string): Promise<Term[]> {
  return termsIn(await readFile(join(root, 'docs/glossary.md'), 'utf8'));
}

/** The rows of a glossary's table. Bold words of the first column are ours, code of the last one is rejected. */
export function termsIn(page: string): Term[] {
  return page
    .split('\n')
    .filter((line) => line.startsWith('| **'))
    .map((line) => {
      const cells = line.split(' | ');
      return { ours: matchesIn(cells[0] ?? '', /\*\*(.+?)\*\*/g), rejected: matchesIn(cells[3] ?? '', /`(.+?)`/g) };
    });
}

function matchesIn(cell: string, pattern: RegExp): string[] {
  return [...cell.matchAll(pattern)].map(([, word = '']) => word);
}
