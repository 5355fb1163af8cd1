import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readChanges } from '../../cli/read-changes.ts';
import { EverbootFailure } from '../../domain/failures.ts';

test('of what --set is given, only true, false and whole numbers are no texts', async () => {
  const written = {
    yes: 'true',
    no: 'false',
    count: '20',
    below: '-3',
    map: 'a: b',
    comment: 'x # y',
    list: '[]',
    nothing: '',
    null: 'null',
    zeros: '007',
    half: '0.5',
    long: '12345678901234567890',
    equals: 'a=b',
  };
  const set = Object.entries(written).map((pair) => pair.join('='));
  const expected = { ...written, yes: true, no: false, count: 20, below: -3 };
  assert.deepEqual((await readChanges({ set }))?.values, expected);
});

test('a file that names no field is refused instead of building again what was not changed', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-changes-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, 'changes.yaml');
  for (const text of ['', '# nothing\n', '{}']) {
    await writeFile(file, text);
    await assert.rejects(readChanges({ file }), (error) => {
      assert.ok(error instanceof EverbootFailure);
      assert.equal(error.code, 'UsageInvalid');
      assert.match(error.message, /names no field to change/);
      return true;
    });
  }
});
