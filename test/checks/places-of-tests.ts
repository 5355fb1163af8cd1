import { join } from 'node:path';
import { suiteOf, testPaths } from '../runner/suites.ts';

/** Every test file belongs to a suite: one that belongs to none would never run. */
export async function placesOfTests(root: string): Promise<string[]> {
  const strays = (await testPaths(join(root, 'test'))).filter((path) => suiteOf(path) === undefined);
  return strays.map((path) => `test/${path}:1: no suite of test/runner/suites.ts has its folder`);
}
