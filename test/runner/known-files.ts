import type { Figures } from './figures.ts';

/** A file that takes long, as it was measured on two quiet cores. */
interface KnownFile extends Figures {
  /** How long it may take, where its suite's limit is too short. */
  readonly timeoutMs?: number;
}

/**
 * The long files, so that a machine that never ran them starts with them, too. Its own figures count from its first run
 * on.
 */
export const knownFiles: Readonly<Record<string, KnownFile>> = {
  'durability/matrix.test.ts': { seconds: 900, cpuSeconds: 600, timeoutMs: 3_000_000 },
};

/** A file of which nothing is known is taken for a short one that computes. */
export const unknownFile: Figures = { seconds: 5, cpuSeconds: 5 };
