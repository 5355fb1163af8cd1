import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runFile } from '../run-file.ts';

test('a file that takes too long is ended, and what had passed is reported', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-file-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'slow.test.ts');
  const slow = "test('is slow', () => new Promise(() => setInterval(() => {}, 1000)));";
  await writeFile(file, `import { test } from 'node:test';\ntest('is quick', () => {});\n${slow}\n`);
  const { outcomes } = await runFile(file, { folder: join(folder, 'run'), timeoutMs: 3000 });
  const [first, ...others] = outcomes;
  assert.deepEqual(first, { name: 'is quick', outcome: 'passed' });
  assert.deepEqual(others.at(-1), {
    name: 'the file itself',
    outcome: 'failed',
    reason: 'it did not end within 3 s',
  });
});
