import { lstat } from 'node:fs/promises';
import { syncPath } from '../../files/publish-file.ts';
import { isThere, removeFile } from '../../files/small-file.ts';
import { lockKeys } from '../../locks/lock-keys.ts';
import { withLock } from '../../locks/with-lock.ts';
import { removeFacts } from '../base-facts.ts';
import { claimsOn } from '../claims.ts';
import type { StoreMaintenance } from '../store-settings.ts';
import { type FoundFile, isSameFile } from './cache-folder.ts';
import { pinPath } from './pins.ts';
import { removeScrubRecord } from './scrub-record.ts';

/**
 * Does something to a cached file that nobody may be claiming, fetching or looking at meanwhile. Returns false, and
 * does nothing, when somebody is for longer than `waitMs`: a sweep comes again. `mayBeClaimed`: only those at work
 * count, not those who need the file.
 */
export async function aloneWith(
  { paths }: StoreMaintenance,
  cacheName: string,
  work: () => Promise<void>,
  { mayBeClaimed = false, waitMs = 0 } = {},
): Promise<boolean> {
  const waiting = { waitMs, whenBusy: () => false };
  return await withLock(paths, lockKeys.evict(cacheName), waiting, () =>
    withLock(paths, lockKeys.fetch(cacheName), waiting, async () => {
      // Nobody adds one as long as the first lock is held, and whoever adds one later finds the file gone.
      if (!mayBeClaimed && (await claimsOn(paths, cacheName)).length > 0) return false;
      await work();
      return true;
    }),
  );
}

/**
 * Removes an image or a blank disk that nothing claims, if it is still as it was looked at: not used since, not pinned.
 */
export async function evict(maintenance: StoreMaintenance, { cacheName, path, stats }: FoundFile): Promise<boolean> {
  const { paths } = maintenance;
  let isGone = false;
  const wasAlone = await aloneWith(maintenance, cacheName, async () => {
    const now = await lstat(path).catch(() => undefined);
    if (now === undefined || !isSameFile(stats, now) || now.mtimeMs !== stats.mtimeMs) return;
    if (await isThere(pinPath(paths, cacheName))) return;
    // The file before its mark: a crash in between leaves a mark without a file, which the next fetch replaces; the
    // other way round the file would look like somebody else's, and stay indefinitely.
    await removeFile(path);
    await syncPath(paths.cache);
    await removeFacts(paths, cacheName);
    await removeScrubRecord(paths, cacheName);
    isGone = true;
  });
  return wasAlone && isGone;
}
