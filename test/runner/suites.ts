import { glob } from 'node:fs/promises';

interface Suite {
  /** The folders of test/ whose files it has. */
  readonly folders: readonly string[];
  /** How long one of its files may take. */
  readonly fileTimeoutMs: number;
}

/** All suites, in their order: the quick ones, which say most, come first. */
export const suites = {
  check: { folders: [], fileTimeoutMs: 0 },
  unit: { folders: ['domain', 'client', 'workers', 'cli', 'setup'], fileTimeoutMs: 600_000 },
  host: { folders: ['hypervisor', 'activities'], fileTimeoutMs: 2_700_000 },
  workflows: { folders: ['workflows', 'releases'], fileTimeoutMs: 900_000 },
  durability: { folders: ['durability'], fileTimeoutMs: 900_000 },
  boot: { folders: ['boot'], fileTimeoutMs: 900_000 },
} as const satisfies Record<string, Suite>;

export type SuiteName = keyof typeof suites;

export const suiteNames = Object.keys(suites) as readonly SuiteName[];

/** The suite of a test file, by its path in test/; undefined where no suite would run it. */
export function suiteOf(path: string): SuiteName | undefined {
  const [folder = ''] = path.split('/');
  return suiteNames.find((name) => (suites[name].folders as readonly string[]).includes(folder));
}

/** Files that may take longer than their suite allows, in milliseconds: each has hundreds of cases. */
export const longFiles: Readonly<Record<string, number>> = { 'durability/matrix.test.ts': 3_000_000 };

/** How long a test file may take, in milliseconds. */
export function timeoutOf(path: string): number {
  const suite = suiteOf(path);
  return longFiles[path] ?? (suite === undefined ? 0 : suites[suite].fileTimeoutMs);
}

/** The paths of all test files below a checkout's test/, sorted. */
export async function testPaths(testFolder: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const path of glob('**/*.test.ts', { cwd: testFolder })) paths.push(path);
  return paths.sort();
}

/** Whether a path is this file or is in this folder, whose name ends with a slash. */
export function isBelow(path: string, entry: string): boolean {
  return entry.endsWith('/') ? path.startsWith(entry) : path === entry;
}
