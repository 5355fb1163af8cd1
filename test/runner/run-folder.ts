import { copyFile, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FiguresByPath } from './figures.ts';

/** Older runs go when another begins. */
const keptRuns = 5;

/** The files that stay of a run below the state folder. */
export interface RunFolder {
  readonly path: string;
  /** The folder of one file of tests, by its path in test/. */
  readonly ofFile: (testPath: string) => string;
  /** Removes the folder of a file that passed. */
  readonly drop: (testPath: string) => Promise<void>;
  /**
   * Keeps the titles of all tests that ran, as `file: title`, sorted, so that two runs can be compared. Returns the
   * file's path.
   */
  readonly keepTitles: (titles: readonly string[]) => Promise<string>;
  readonly keepFigures: (figures: FiguresByPath) => Promise<void>;
  /** Keeps a Temporal's database, in which are the histories of what failed. */
  readonly keepDatabase: (databaseFile: string) => Promise<void>;
}

/** Makes the folder of a new run, and removes those of the oldest. */
export async function openRunFolder(stateDirectory: string): Promise<RunFolder> {
  const runs = join(stateDirectory, 'tests', 'runs');
  const startedAt = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const path = join(runs, `${startedAt}-${process.pid}`);
  await mkdir(path, { recursive: true });
  const all = (await readdir(runs)).filter((name) => /^\d{8}T\d{6}Z-\d+$/.test(name)).sort();
  for (const name of all.slice(0, -keptRuns)) await rm(join(runs, name), { recursive: true, force: true });
  const ofFile = (testPath: string): string => join(path, testPath.replaceAll('/', '.'));
  return {
    path,
    ofFile,
    drop: (testPath) => rm(ofFile(testPath), { recursive: true, force: true }),
    async keepTitles(titles) {
      const file = join(path, 'titles');
      await writeFile(
        file,
        [...titles]
          .sort()
          .map((title) => `${title}\n`)
          .join(''),
      );
      return file;
    },
    keepFigures: (figures) => writeFile(join(path, 'figures.json'), `${JSON.stringify(figures, null, 2)}\n`),
    async keepDatabase(databaseFile) {
      for (const suffix of ['', '-wal', '-shm']) {
        await copyFile(`${databaseFile}${suffix}`, join(path, `temporal.db${suffix}`)).catch(() => undefined);
      }
    },
  };
}
