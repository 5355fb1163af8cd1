import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readGlossary, termsIn } from '../checks/glossary.ts';
import { exceptions, findRejected, rejectedWords } from '../checks/rejected-words.ts';

const root = join(import.meta.dirname, '../..');
const page = [
  '| our word | the field’s | what it is | rejected, and why |',
  '|---|---|---|---|',
  '| **partial** | rsync: partial file | A file that is not whole. | `half made`: no tool says so |',
  '| **reconciliation**, **orphan** | – | Comparing. | `tend`, `tending`: a gardener’s word |',
].join('\n');

test('the glossary has no word twice, ours or rejected', async () => {
  const terms = await readGlossary(root);
  const words = terms.flatMap(({ ours, rejected }) => [...ours, ...rejected]);
  assert.ok(terms.length > 40 && terms.some(({ rejected }) => rejected.length > 0));
  assert.deepEqual(
    words.filter((word, index) => words.indexOf(word) !== index),
    [],
  );
});

test('a rejected word is found in a name of any casing, in text, and over the end of a comment’s line', () => {
  const terms = termsIn(page);
  const wordsIn = (text: string): string[] => findRejected(text, terms).map(({ word }) => word);
  for (const text of ['halfMade', 'HALF_MADE', 'half-made.ts', 'removeHalfMadeNotes', 'a half made file']) {
    assert.deepEqual(wordsIn(text), ['half made'], text);
  }
  assert.deepEqual(wordsIn(' * This is half\n * made.'), ['half made']);
  assert.deepEqual(wordsIn('tendHost(host)'), ['tend']);
  for (const text of ['extend', 'attending', 'in half. Made by', 'half, made', 'pretendHost']) {
    assert.deepEqual(wordsIn(text), [], text);
  }
});

test('a checkout’s rejected words are named with path, line and our word, also those of a path', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-words-'));
  try {
    await mkdir(join(folder, 'docs'));
    await mkdir(join(folder, 'cli'));
    await writeFile(join(folder, 'docs/glossary.md'), page);
    await writeFile(join(folder, 'cli/tend-text.ts'), '\nexport const tendingText = 1;\n');
    assert.deepEqual(await rejectedWords(folder), [
      'cli/tend-text.ts:1: its path has "tend", see reconciliation, orphan',
      'cli/tend-text.ts:2: "tending" is rejected, the glossary says reconciliation, orphan',
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('an exception has a reason, and a word that the glossary rejects', async () => {
  const rejected = new Set((await readGlossary(root)).flatMap((term) => term.rejected));
  for (const { word, reason } of exceptions) assert.ok(rejected.has(word) && reason.length > 20, word);
});
