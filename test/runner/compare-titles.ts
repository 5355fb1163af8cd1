import { readFile } from 'node:fs/promises';

interface TitleChanges {
  /** `file: title`, of tests that only the first list has, and of those that only the second has. */
  readonly gone: readonly string[];
  readonly added: readonly string[];
  /** Tests that have the same title in another file. */
  readonly moved: readonly { readonly title: string; readonly from: string; readonly to: string }[];
}

/**
 * Prints how the lists of titles of two runs differ: `- ` before a test that is gone, `+ ` before one that is new, `> `
 * before one that has moved to another file. Returns the exit code: 1 where a test is gone.
 */
export async function printTitleChanges(beforeFile: string, afterFile: string): Promise<number> {
  const [before, after] = await Promise.all([readTitles(beforeFile), readTitles(afterFile)]);
  const { gone, added, moved } = titleChanges(before, after);
  const lines = [
    ...gone.map((title) => `- ${title}`),
    ...added.map((title) => `+ ${title}`),
    ...moved.map(({ title, from, to }) => `> ${title}: ${from} -> ${to}`),
    `${before.length} titles before, ${after.length} after: ${gone.length} gone, ${added.length} new, ${moved.length} moved`,
  ];
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
  return gone.length > 0 ? 1 : 0;
}

/** The differences of two lists of `file: title`, in which a line may be there several times. */
export function titleChanges(before: readonly string[], after: readonly string[]): TitleChanges {
  const gone = without(before, after);
  const added = without(after, before);
  const moved: { title: string; from: string; to: string }[] = [];
  for (const one of [...gone]) {
    const [from, title] = parts(one);
    const other = added.find((line) => parts(line)[1] === title);
    if (other === undefined) continue;
    moved.push({ title, from, to: parts(other)[0] });
    gone.splice(gone.indexOf(one), 1);
    added.splice(added.indexOf(other), 1);
  }
  return { gone, added, moved };
}

/** The lines of one list that are left when each line of another one has taken away one like it. */
function without(lines: readonly string[], others: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const other of others) counts.set(other, (counts.get(other) ?? 0) + 1);
  return lines.filter((line) => {
    const left = counts.get(line) ?? 0;
    counts.set(line, left - 1);
    return left <= 0;
  });
}

/** The file and the title of a line. */
function parts(line: string): [string, string] {
  const end = line.indexOf(': ');
  return [line.slice(0, end), line.slice(end + 2)];
}

async function readTitles(file: string): Promise<string[]> {
  return (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');
}
