import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readGlossary, type Term } from './glossary.ts';

/** Everything that people wrote here: code with its names, comments and texts, pages, scripts and their paths. */
const places = [
  '{activities,bench,cli,client,deploy,docs,domain,hypervisor,setup,test,workers,workflows}/**/*.{ts,md,sh,py,c,service,yaml}',
  '{README,CONTRIBUTING,CHANGELOG}.md',
  '{everboot,docker-compose.yml}',
];

/** Files that have rejected words on purpose. */
const withoutCheck: ReadonlySet<string> = new Set([
  // Lists them.
  'docs/glossary.md',
  // Show how they are found.
  'test/checks/rejected-words.ts',
  'test/setup/rejected-words.test.ts',
]);

interface Exception {
  readonly word: string;
  /** The paths that it counts for. */
  readonly path: RegExp;
  /** The line in which it stands. */
  readonly line: RegExp;
  readonly reason: string;
}

/** Rejected words that a line may have. */
export const exceptions: readonly Exception[] = [];

/** Finds rejected words of the glossary in text, in identifiers of any casing, and in paths. */
export async function rejectedWords(root: string): Promise<string[]> {
  const terms = await readGlossary(root);
  const found: string[] = [];
  for await (const path of glob(places, { cwd: root })) {
    if (withoutCheck.has(path)) continue;
    const text = await readFile(join(root, path), 'utf8');
    const inPath = findRejected(path, terms).map(({ word, ours }) => `${path}:1: its path has "${word}", see ${ours}`);
    found.push(...inPath, ...linesWith(path, text, terms));
  }
  return found.sort();
}

function linesWith(path: string, text: string, terms: readonly Term[]): string[] {
  const lines = text.split('\n');
  return findRejected(text, terms)
    .map((finding) => ({ ...finding, line: text.slice(0, finding.index).split('\n').length }))
    .filter(({ word, line }) => !isExcepted(path, word, lines[line - 1] ?? ''))
    .map(({ word, ours, line }) => `${path}:${line}: "${word}" is rejected, the glossary says ${ours}`);
}

function isExcepted(path: string, word: string, line: string): boolean {
  return exceptions.some((one) => one.word === word && one.path.test(path) && one.line.test(line));
}

interface Rejected {
  readonly word: string;
  readonly ours: string;
  readonly index: number;
}

interface Part {
  readonly word: string;
  readonly index: number;
  /** Whether it follows the part before it in one phrase or one name, perhaps over the end of a comment's line. */
  readonly follows: boolean;
}

/** Every rejected word or phrase in a text: `half-made`, `halfMade`, `half_made` and "half made" are the same one. */
export function findRejected(text: string, terms: readonly Term[]): Rejected[] {
  const parts = partsOf(text);
  const wanted = new Map<
    string,
    { readonly phrase: readonly string[]; readonly ours: string; readonly word: string }[]
  >();
  for (const { ours, rejected } of terms) {
    for (const word of rejected) {
      const [first = '', ...rest] = word.split(' ');
      wanted.set(first, [...(wanted.get(first) ?? []), { phrase: [first, ...rest], ours: ours.join(', '), word }]);
    }
  }
  return parts.flatMap(({ word: first, index }, at) =>
    (wanted.get(first) ?? [])
      .filter(({ phrase }) =>
        phrase.every((word, i) => parts[at + i]?.word === word && (i === 0 || parts[at + i]?.follows === true)),
      )
      .map(({ ours, word }) => ({ word, ours, index })),
  );
}

/** The words of a text in lower case, names taken apart. */
function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const match of text.matchAll(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+/g)) {
    const gap = text.slice(end, match.index);
    parts.push({
      word: match[0].toLowerCase(),
      index: match.index,
      follows: /^(?:[-_]|\s+(?:\*|\/\/|#)?\s*)?$/.test(gap),
    });
    end = match.index + match[0].length;
  }
  return parts;
}
