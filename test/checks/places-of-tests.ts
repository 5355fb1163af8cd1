import { join } from 'node:path';
import { defaultFiguresFile, readFigures } from '../runner/figures.ts';
import { needs } from '../runner/needs.ts';
import { quick } from '../runner/quick.ts';
import { isBelow, longFiles, suiteOf, testPaths } from '../runner/suites.ts';

/**
 * Every test file belongs to a suite, since one that belongs to none would never run; and the runner's tables name only
 * files that there are.
 */
export async function placesOfTests(root: string): Promise<string[]> {
  const paths = await testPaths(join(root, 'test'));
  const strays = paths.filter((path) => suiteOf(path) === undefined);
  const absent = (await namedFiles()).filter((name) => !paths.some((path) => isBelow(path, name)));
  return [
    ...strays.map((path) => `test/${path}:1: no suite of test/runner/suites.ts has its folder`),
    ...absent.map((name) => `test/runner: a table names ${name}, and there is no such test`),
  ];
}

/** The files and folders of test/ that the runner's tables name. */
export async function namedFiles(): Promise<string[]> {
  const withFigures = Object.keys(await readFigures(defaultFiguresFile));
  return [...quick, ...withFigures, ...Object.keys(longFiles), ...needs.flatMap((need) => need.paths)];
}
