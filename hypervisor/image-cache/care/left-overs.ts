import { rm, rmdir, stat } from 'node:fs/promises';
import type { SweptFile } from '../../../domain/cache.ts';
import { isThere, listFolder, removeFile } from '../../small-file.ts';
import { readMark, removeFacts } from '../base-facts.ts';
import { claimsOn } from '../claims.ts';
import { refusalIsOver } from '../refusals.ts';
import type { CacheCare } from './cache-care.ts';
import { type FoundFile, occupiedBytes } from './cache-folder.ts';
import { aloneWith } from './evict.ts';
import { removeScrubRecord } from './scrub-record.ts';

/** What fetches and blank disks left half-made, where nobody claims them and nobody is writing them. */
export async function sweepLeftOvers(
  care: CacheCare,
  found: readonly FoundFile[],
  { dryRun }: { readonly dryRun: boolean },
): Promise<SweptFile[]> {
  const swept: SweptFile[] = [];
  for (const file of found) {
    if (file.kind !== 'temporary') continue;
    const remove = async (): Promise<void> => {
      if (!dryRun) await rm(file.path, { recursive: true, force: true });
      swept.push({
        name: file.name,
        occupiedBytes: occupiedBytes(file),
        reason: 'half-made, and nobody goes on with it',
      });
    };
    await aloneWith(care, file.cacheName, remove);
  }
  return swept;
}

/** Removes what our own state still says of files that are gone, and of times that are over. */
export async function tidyState(care: CacheCare): Promise<void> {
  const { paths } = care;
  for (const name of await listFolder(paths.refusals)) {
    const path = `${paths.refusals}/${name}`;
    if (await refusalIsOver(path)) await removeFile(path);
  }
  for (const cacheName of await listFolder(paths.claims)) {
    // Fails while a claim is in it, as it should.
    await rmdir(`${paths.claims}/${cacheName}`).catch(() => undefined);
  }
  for (const folder of [paths.fetches, paths.bases, paths.scrubs]) {
    for (const name of await listFolder(folder)) {
      const cacheName = name.replace(/\.json$/, '');
      if (cacheName !== name) await forgetAbsent(care, cacheName);
      else await removeOldTemporary(`${folder}/${name}`);
    }
  }
}

/** Forgets a file of which nothing is left and that nobody wants. */
async function forgetAbsent(care: CacheCare, cacheName: string): Promise<void> {
  const { paths } = care;
  const file = `${paths.cache}/${cacheName}`;
  const isWanted = async (): Promise<boolean> =>
    (await claimsOn(paths, cacheName)).length > 0 || (await isThere(`${file}.part`)) || (await isThere(file));
  if (await isWanted()) {
    if ((await readMark(paths, cacheName)) !== undefined && (await isThere(file))) await dropOldLease(care, cacheName);
    return;
  }
  await aloneWith(care, cacheName, async () => {
    if (await isWanted()) return;
    await removeFile(`${paths.fetches}/${cacheName}.json`);
    await removeFacts(paths, cacheName);
    await removeScrubRecord(paths, cacheName);
  });
}

async function dropOldLease(care: CacheCare, cacheName: string): Promise<void> {
  await aloneWith(care, cacheName, () => removeFile(`${care.paths.fetches}/${cacheName}.json`));
}

const hourMs = 3_600_000;

/** What a crash left between writing a small file and giving it its name; nobody writes one for an hour. */
async function removeOldTemporary(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found !== undefined && Date.now() - found.mtimeMs > hourMs) await removeFile(path);
}
