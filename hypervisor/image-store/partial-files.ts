import { lstat } from 'node:fs/promises';
import type { HostPaths } from '../../domain/host-paths.ts';
import { isThere } from '../files/small-file.ts';
import { readFacts } from './base-facts.ts';
import { baseFiles } from './base-files.ts';

/**
 * Which of a fetch's temporary files are there and were made by everboot. Nova calls its own the same, and leaves them
 * indefinitely after a crash, so something of ours has to say so: the sidecar, which is there before the first byte of
 * a part and goes after everything else; or the facts of this very file, while it does not have its final name. An
 * empty part is of no use to anybody, and is what a crash right before the first sidecar leaves.
 */
export async function ownPartialFiles(
  paths: HostPaths,
  cacheName: string,
): Promise<{ readonly part: boolean; readonly converted: boolean }> {
  const { final, part, sidecar, converted } = baseFiles(paths, cacheName);
  const [partBytes, convertedBytes] = [await sizeOf(part), await sizeOf(converted)];
  if (partBytes === undefined && convertedBytes === undefined) return { part: false, converted: false };
  const isStarted = await isThere(sidecar);
  const facts = (await isThere(final)) ? undefined : await readFacts(paths, cacheName);
  const isOwn = (from: 'part' | 'converted', bytes: number | undefined): boolean =>
    bytes !== undefined && (isStarted || (facts?.from === from && facts.fileSizeBytes === bytes));
  return { part: isOwn('part', partBytes) || partBytes === 0, converted: isOwn('converted', convertedBytes) };
}

async function sizeOf(path: string): Promise<number | undefined> {
  return await lstat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}
