import { readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { quick } from './quick.ts';
import { isBelow, suiteNames, suiteOf, suites, testPaths } from './suites.ts';

/** Selections that are no suite, each with its meaning for people. */
export const otherNames = {
  quick: 'before a commit: the checks, unit tests, workflows on a real server, one real boot',
  long: 'the families of cases of which every other run takes a sample, whole',
} as const;

export interface Selection {
  readonly withChecks: boolean;
  /** By their paths in test/. */
  readonly paths: readonly string[];
  /** Families of cases run whole. */
  readonly isLong: boolean;
  /** Unit tests run before all others, since they say most soonest. A quick run is over sooner without. */
  readonly unitFirst: boolean;
}

/**
 * The tests of the given names: of suites, of `quick` or `long`, or of test files, by paths from the working directory
 * or from `testFolder`. No names: everything. Throws a SelectionProblem for a name that is nothing of these, and for a
 * test file that no suite has.
 */
export async function selectTests(names: readonly string[], testFolder: string): Promise<Selection> {
  const all = await testPaths(testFolder);
  const strays = all.filter((path) => suiteOf(path) === undefined);
  if (strays.length > 0) throw new SelectionProblem(`no suite of test/runner/suites.ts has ${strays.join(', ')}`, 1);
  const paths = new Set<string>();
  const unknown: string[] = [];
  for (const name of names.length > 0 ? names : suiteNames) {
    const found = await pathsOf(name, all, testFolder);
    if (found === undefined) unknown.push(name);
    else for (const path of found) paths.add(path);
  }
  if (unknown.length > 0) {
    const known = [...suiteNames, ...Object.keys(otherNames)].join(', ');
    throw new SelectionProblem(`no suite or test file is called ${unknown.join(', ')}; there are ${known}`, 2);
  }
  return {
    withChecks: names.length === 0 || names.some((name) => name === 'check' || name === 'quick'),
    paths: [...paths],
    isLong: names.includes('long'),
    unitFirst: !names.includes('quick'),
  };
}

/** Nothing can be run, and the run ends with this exit code. */
export class SelectionProblem extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

async function pathsOf(name: string, all: readonly string[], testFolder: string): Promise<string[] | undefined> {
  if (Object.hasOwn(suites, name)) return all.filter((path) => suiteOf(path) === name);
  if (name === 'quick') return all.filter((path) => quick.some((entry) => isBelow(path, entry)));
  if (name === 'long') return await withFamilies(all, testFolder);
  const path = [relative(testFolder, resolve(name)), name].find((each) => all.includes(each));
  return path === undefined ? undefined : [path];
}

/** The files that take samples of families of cases: each imports what takes them. */
async function withFamilies(all: readonly string[], testFolder: string): Promise<string[]> {
  const found: string[] = [];
  for (const path of all) {
    if ((await readFile(join(testFolder, path), 'utf8')).includes("/fixtures/sampled.ts'")) found.push(path);
  }
  return found;
}
