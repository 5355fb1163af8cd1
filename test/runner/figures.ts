import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** How long a test file took, and what it cost. */
export interface Figures {
  readonly seconds: number;
  /**
   * Of the file's process and all descendants whose parents waited for them. Not counted: guests, whose parent is
   * libvirtd, the run's Temporal, and what a killed process left to init.
   */
  readonly cpuSeconds: number;
}

export type FiguresByPath = Readonly<Record<string, Figures>>;

/** A file of which nothing is known is taken for a short one that computes. */
export const unknownFigures: Figures = { seconds: 5, cpuSeconds: 5 };

const slowestCount = 10;

/**
 * For a machine that never ran a file. Written as the kept figures are: a run on two quiet cores can be copied here.
 */
export const defaultFiguresFile = join(import.meta.dirname, 'default-figures.json');

/** Figures of files by their paths in test/; empty where there are none yet, or nobody can read them. */
export async function readFigures(file: string): Promise<FiguresByPath> {
  try {
    const found: unknown = JSON.parse(await readFile(file, 'utf8'));
    return Object.fromEntries(Object.entries(found as object).filter(([, figures]) => areFigures(figures)));
  } catch {
    return {};
  }
}

/** Adds a run's figures to those that are kept, each in the place of an earlier one. */
export async function keepFigures(stateDirectory: string, figures: FiguresByPath): Promise<void> {
  const all = Object.entries({ ...(await readFigures(keptFiguresFile(stateDirectory))), ...figures });
  const sorted = Object.fromEntries(all.sort(([one], [other]) => (one < other ? -1 : 1)));
  const file = keptFiguresFile(stateDirectory);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.${process.pid}`, `${JSON.stringify(sorted, null, 2)}\n`);
  await rename(`${file}.${process.pid}`, file);
}

/** The lines that name the slowest files of a run, the slowest first. */
export function slowestLines(figures: FiguresByPath): string[] {
  const slowest = Object.entries(figures)
    .sort(([, one], [, other]) => other.seconds - one.seconds)
    .slice(0, slowestCount);
  return slowest.map(
    ([path, { seconds, cpuSeconds }]) => `${path}: ${seconds.toFixed(1)} s, CPU ${cpuSeconds.toFixed(1)} s`,
  );
}

/** Where the figures of a machine's runs are. */
export function keptFiguresFile(stateDirectory: string): string {
  return join(stateDirectory, 'tests', 'figures.json');
}

function areFigures(found: unknown): found is Figures {
  const { seconds, cpuSeconds } = (found ?? {}) as Partial<Figures>;
  return Number.isFinite(seconds) && Number.isFinite(cpuSeconds);
}
