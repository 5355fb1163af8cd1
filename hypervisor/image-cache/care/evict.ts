import { lstat } from 'node:fs/promises';
import { type HeldLock, tryKernelLock } from '../../kernel-lock.ts';
import { syncPath } from '../../publish-file.ts';
import { removeFile } from '../../small-file.ts';
import { removeFacts } from '../base-facts.ts';
import { claimsOn, evictionLockKey } from '../claims.ts';
import { fetchLockKey } from '../fetch-lease.ts';
import type { CacheCare } from './cache-care.ts';
import type { FoundFile } from './cache-folder.ts';
import { removeScrubRecord } from './scrub-record.ts';

/**
 * Does something to a cached file that nobody may be claiming, fetching or looking at meanwhile. Returns false, and does
 * nothing, when somebody is: a sweep comes again. `mayBeClaimed`: only those at work count, not those who need the file.
 */
export async function aloneWith(
  { paths }: CacheCare,
  cacheName: string,
  work: () => Promise<void>,
  { mayBeClaimed = false } = {},
): Promise<boolean> {
  const locks: HeldLock[] = [];
  try {
    for (const key of [evictionLockKey(cacheName), fetchLockKey(cacheName)]) {
      const lock = await tryKernelLock({ lockFile: paths.locks, key });
      if (lock === undefined) return false;
      locks.push(lock);
    }
    // Nobody adds one as long as the first lock is held, and whoever adds one later finds the file gone.
    if (!mayBeClaimed && (await claimsOn(paths, cacheName)).length > 0) return false;
    await work();
    return true;
  } finally {
    for (const lock of locks.reverse()) await lock.release();
  }
}

/** Removes an image or a blank disk that nothing claims, if it is still the file that was looked at. */
export async function evict(care: CacheCare, { cacheName, path, stats }: FoundFile): Promise<boolean> {
  const { paths } = care;
  let isGone = false;
  const wasAlone = await aloneWith(care, cacheName, async () => {
    const now = await lstat(path).catch(() => undefined);
    if (now === undefined || now.ino !== stats.ino || now.mtimeMs !== stats.mtimeMs) return;
    // The file before its mark: a crash in between leaves a mark without a file, which the next fetch replaces; the
    // other way round the file would look like somebody else's, and stay for ever.
    await removeFile(path);
    await syncPath(paths.cache);
    await removeFacts(paths, cacheName);
    await removeScrubRecord(paths, cacheName);
    isGone = true;
  });
  return wasAlone && isGone;
}
