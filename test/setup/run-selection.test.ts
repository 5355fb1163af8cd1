import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { namedFiles, placesOfTests } from '../checks/places-of-tests.ts';
import { type Selection, selectTests } from '../runner/selection.ts';
import { isBelow, suiteNames, suiteOf, testPaths } from '../runner/suites.ts';

const testFolder = join(import.meta.dirname, '..');
const select = (...names: string[]): Promise<Selection> => selectTests(names, testFolder);

test('every test file belongs to a suite, and every file that the runner’s tables name is there', async () => {
  assert.deepEqual(await placesOfTests(join(testFolder, '..')), []);
  const paths = await testPaths(testFolder);
  for (const name of await namedFiles())
    assert.ok(
      paths.some((path) => isBelow(path, name)),
      name,
    );
});

test('no names select the checks and every file; a suite’s name its files; a path its file', async () => {
  const everything = await select();
  assert.deepEqual([everything.withChecks, everything.isLong], [true, false]);
  assert.deepEqual([...everything.paths].sort(), await testPaths(testFolder));
  const boot = await select('boot');
  assert.equal(boot.withChecks, false);
  assert.deepEqual(
    boot.paths,
    everything.paths.filter((path) => suiteOf(path) === 'boot'),
  );
  const file = 'domain/plan-disks.test.ts';
  for (const name of [file, join(testFolder, file)]) assert.deepEqual((await select(name)).paths, [file], name);
});

test('quick has checks, unit tests, workflows on a real server and one real boot', async () => {
  const { withChecks, paths, isLong } = await select('quick');
  assert.deepEqual([withChecks, isLong], [true, false]);
  const suites = new Set(paths.map(suiteOf));
  for (const name of ['unit', 'workflows', 'boot'] as const) assert.ok(suites.has(name), name);
});

test('long has the files that take samples, and its families run whole', async () => {
  const { withChecks, paths, isLong } = await select('long');
  assert.deepEqual([withChecks, isLong], [false, true]);
  assert.ok(paths.length > 0);
  for (const path of paths) assert.match(await readFile(join(testFolder, path), 'utf8'), /\bsampled\(/, path);
});

test('a name that is nobody’s is refused, beside those that there are', async () => {
  await assert.rejects(select('unit', 'everything', 'domain/none.test.ts'), {
    message: new RegExp(`called everything, domain/none.test.ts; there are ${suiteNames.join(', ')}, quick, long$`),
    exitCode: 2,
  });
});
