import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { keepFigures, keptFiguresFile, readFigures, slowestLines } from '../runner/figures.ts';
import { openRunFolder } from '../runner/run-folder.ts';

async function stateFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-figures-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('a run’s figures take the place of earlier ones of the same files, and the others stay', async (t) => {
  const state = await stateFolder(t);
  assert.deepEqual(await readFigures(keptFiguresFile(state)), {});
  await keepFigures(state, { 'cli/a.test.ts': { seconds: 2, cpuSeconds: 1 }, b: { seconds: 3, cpuSeconds: 3 } });
  await keepFigures(state, { b: { seconds: 9, cpuSeconds: 4 } });
  const kept = { 'cli/a.test.ts': { seconds: 2, cpuSeconds: 1 }, b: { seconds: 9, cpuSeconds: 4 } };
  assert.deepEqual(await readFigures(keptFiguresFile(state)), kept);
  assert.deepEqual(await readdir(join(state, 'tests')), ['figures.json'], 'no temporary file');
});

test('figures that nobody can read are as none', async (t) => {
  const state = await stateFolder(t);
  await mkdir(join(state, 'tests'));
  for (const [text, expected] of [
    ['{"a": {"seconds": 1, "cpu', {}],
    ['null', {}],
    [
      '{"a": {"seconds": "long", "cpuSeconds": 1}, "b": {"seconds": 1, "cpuSeconds": 1}}',
      { b: { seconds: 1, cpuSeconds: 1 } },
    ],
  ] as const) {
    await writeFile(join(state, 'tests', 'figures.json'), text);
    assert.deepEqual(await readFigures(keptFiguresFile(state)), expected, text);
  }
});

test('the ten slowest files are named, the slowest first', () => {
  const figures = [...Array(12).keys()].map((number) => [`f${number}`, { seconds: number, cpuSeconds: 0.5 }]);
  const lines = slowestLines(Object.fromEntries(figures));
  assert.equal(lines.length, 10);
  assert.deepEqual([lines[0], lines.at(-1)], ['f11: 11.0 s, CPU 0.5 s', 'f2: 2.0 s, CPU 0.5 s']);
});

test('what five runs kept stays, and what is no run’s', async (t) => {
  const state = await stateFolder(t);
  const runs = join(state, 'tests', 'runs');
  const earlier = [1, 2, 3, 4, 5, 6].map((hour) => `20260101T0${hour}0000Z-${hour}`);
  for (const name of [...earlier, 'a-note']) await mkdir(join(runs, name), { recursive: true });
  const { path } = await openRunFolder(state);
  assert.deepEqual((await readdir(runs)).map((name) => join(runs, name)).sort(), [
    ...earlier.slice(2).map((name) => join(runs, name)),
    path,
    join(runs, 'a-note'),
  ]);
});
