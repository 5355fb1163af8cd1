import type { CachedFile, CachedFileState, CacheListing } from '../../../domain/cache.ts';
import { claimsOn } from '../claims.ts';
import type { StoreMaintenance } from '../store-settings.ts';
import { type FoundFile, occupiedBytes, readCacheFolder } from './cache-folder.ts';
import { findCacheUsers } from './cache-users.ts';
import { pinnedNames } from './pins.ts';
import { readScrubRecord } from './scrub-record.ts';

/** As many as fit in a workflow's result, with room for many users. */
const maxListed = 2000;

/**
 * Lists what is in the cache, with what needs each file; the last used first, and no more than `maxListed`. Changes
 * nothing.
 */
export async function listCache(maintenance: StoreMaintenance): Promise<CacheListing> {
  const { paths, settings, host } = maintenance;
  const [found, users, pins] = await Promise.all([
    readCacheFolder(paths),
    findCacheUsers(maintenance),
    pinnedNames(paths),
  ]);
  const files: CachedFile[] = [];
  for (const file of found) {
    const record = await readScrubRecord(paths, file.name);
    const usedBy = [...(users.byName.get(file.name) ?? [])].sort();
    const isClaimed = (await claimsOn(paths, file.cacheName)).length > 0;
    const isPinned = pins.has(file.name);
    files.push({
      name: file.name,
      kind: file.kind,
      state: stateOf(file, { isUsed: usedBy.length > 0, isPinned, isClaimed }),
      title: file.mark?.kind === 'image' ? file.mark.title : null,
      format: file.mark?.kind === 'image' ? file.mark.format : file.mark?.kind === 'blank' ? 'raw' : null,
      occupiedBytes: occupiedBytes(file),
      virtualSizeBytes: file.mark?.kind === 'image' ? file.mark.virtualSizeBytes : null,
      lastUsedAt: file.stats.mtime.toISOString(),
      pinned: isPinned,
      scrubbedAt: record === undefined ? null : new Date(record.scrubbedAtMs).toISOString(),
      users: usedBy,
    });
  }
  files.sort((one, other) => other.lastUsedAt.localeCompare(one.lastUsedAt) || one.name.localeCompare(other.name));
  const total = files.reduce((sum, file) => sum + file.occupiedBytes, 0);
  const listed = files.slice(0, maxListed);
  return { host, folder: paths.cache, files: listed, occupiedBytes: total, maxBytes: settings.maxBytes };
}

function stateOf(
  { kind }: FoundFile,
  is: { readonly isUsed: boolean; readonly isPinned: boolean; readonly isClaimed: boolean },
): CachedFileState {
  if (kind === 'foreign') return 'foreign';
  if (kind === 'quarantined') return 'damaged';
  if (kind === 'temporary') return is.isClaimed ? 'fetching' : 'unused';
  if (is.isUsed) return 'used';
  return is.isPinned ? 'pinned' : 'unused';
}
