import { rm, rmdir } from 'node:fs/promises';
import type { SweptFile } from '../../../domain/cache.ts';
import type { HostPaths } from '../../../domain/host-paths.ts';
import { removePartialNotes } from '../../files/host-notes.ts';
import { temporarySuffix } from '../../files/publish-file.ts';
import { isThere, listFolder, removeFile } from '../../files/small-file.ts';
import { removeFacts } from '../base-facts.ts';
import { baseFiles } from '../base-files.ts';
import { claimsOn } from '../claims.ts';
import { ownPartialFiles } from '../partial-files.ts';
import { refusalIsOver } from '../refusals.ts';
import type { StoreMaintenance } from '../store-settings.ts';
import { type FoundFile, occupiedBytes } from './cache-folder.ts';
import type { CacheUsers } from './cache-users.ts';
import { aloneWith } from './evict.ts';
import { removeScrubRecord } from './scrub-record.ts';

/** Removes partial files of fetches and blank disks that nobody claims or writes. */
export async function sweepOrphanedFiles(
  maintenance: StoreMaintenance,
  found: readonly FoundFile[],
  { dryRun }: { readonly dryRun: boolean },
): Promise<SweptFile[]> {
  const swept: SweptFile[] = [];
  for (const file of inOrderOfRemoval(found.filter(({ kind }) => kind === 'temporary'))) {
    const remove = async (): Promise<void> => {
      if (!dryRun) await rm(file.path, { force: true });
      swept.push({
        name: file.name,
        occupiedBytes: occupiedBytes(file),
        reason: 'partial, and nobody continues with it',
      });
    };
    // A build continues with its part, however long it waits; a file with a random name is nobody's once its writer
    // ended.
    await aloneWith(maintenance, file.cacheName, remove, { mayBeClaimed: file.name.endsWith(temporarySuffix) });
  }
  return swept;
}

/** Sidecars last: they mark the other files as ours, see `ownPartialFiles`. */
function inOrderOfRemoval(files: readonly FoundFile[]): readonly FoundFile[] {
  return [...files].sort((one, other) => Number(one.name.endsWith('.json')) - Number(other.name.endsWith('.json')));
}

/** Removes what our own state still says of files that are gone, and of times that are over. */
export async function tidyState(maintenance: StoreMaintenance, users: CacheUsers): Promise<void> {
  const { paths } = maintenance;
  for (const name of await listFolder(paths.refusals)) {
    const path = `${paths.refusals}/${name}`;
    if (name.endsWith('.json') && (await refusalIsOver(path))) await removeFile(path);
  }
  for (const cacheName of await listFolder(paths.claims)) {
    // Fails while a claim is in it, as it should.
    await rmdir(`${paths.claims}/${cacheName}`).catch(() => undefined);
  }
  for (const folder of [paths.fetches, paths.bases, paths.scrubs]) {
    for (const name of await listFolder(folder)) {
      if (name.endsWith('.json')) await forgetAbsent(maintenance, name.replace(/\.json$/, ''), users);
    }
  }
  await removePartialNotes(paths);
}

/** Forgets a file of which nothing is left and that nobody wants; of one that is there, who was to fetch it. */
async function forgetAbsent(maintenance: StoreMaintenance, cacheName: string, users: CacheUsers): Promise<void> {
  const { paths } = maintenance;
  const { final } = baseFiles(paths, cacheName);
  if (await isThere(final)) {
    await aloneWith(maintenance, cacheName, () => removeFile(`${paths.fetches}/${cacheName}.json`));
    return;
  }
  // An overlay of a file that is gone needs it fetched again, and only these notes say from where.
  if (users.problem !== null || users.byName.has(cacheName) || (await isAnythingLeft(paths, cacheName))) return;
  await aloneWith(maintenance, cacheName, async () => {
    if (await isAnythingLeft(paths, cacheName)) return;
    await removeFile(`${paths.fetches}/${cacheName}.json`);
    await removeFacts(paths, cacheName);
    await removeScrubRecord(paths, cacheName);
  });
}

async function isAnythingLeft(paths: HostPaths, cacheName: string): Promise<boolean> {
  if ((await claimsOn(paths, cacheName)).length > 0) return true;
  const own = await ownPartialFiles(paths, cacheName);
  // In this order, since the one becomes the other.
  if (own.part || own.converted || (await isThere(baseFiles(paths, cacheName).final))) return true;
  return (await listFolder(paths.cache)).some((name) => name.startsWith(`${cacheName}.damaged-`));
}
