import type { Stats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import type { CachedFileKind } from '../../../domain/cache.ts';
import type { HostPaths } from '../../../domain/host-paths.ts';
import { temporarySuffix } from '../../publish-file.ts';
import { isThere, listFolder } from '../../small-file.ts';
import { type BaseMark, readMark } from '../base-facts.ts';
import { claimsOn } from '../claims.ts';
import { readLease } from '../fetch-lease.ts';

/** No cache has more files; one that does is looked at as far as this. */
const maxFiles = 100_000;

/** A file in the cache's folder. */
export interface FoundFile {
  /** As the folder has it. */
  readonly name: string;
  /** Whose file it is, or is to become: the name under which it is claimed and locked. */
  readonly cacheName: string;
  readonly kind: CachedFileKind;
  readonly path: string;
  readonly stats: Stats;
  /** What is known of a file that everboot made. */
  readonly mark: BaseMark | undefined;
}

/** What a file occupies, which for a sparse one is less than its size. */
export function occupiedBytes({ stats }: FoundFile): number {
  return stats.blocks * 512;
}

/** Every regular file of the cache, with what it is. Links and folders are nobody's that everboot knows, and left out. */
export async function readCacheFolder(paths: HostPaths): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  for (const name of (await listFolder(paths.cache)).slice(0, maxFiles)) {
    const path = `${paths.cache}/${name}`;
    const stats = await lstat(path).catch(() => undefined);
    if (stats?.isFile() !== true) continue;
    const cacheName = cacheNameOf(name);
    const mark = await readMark(paths, cacheName);
    found.push({ name, cacheName, path, stats, mark, kind: await kindOf(paths, { name, cacheName, mark }) });
  }
  return found;
}

const quarantined = /\.damaged-[0-9a-f]{8}$/;
const temporary = new RegExp(`\\.[0-9a-f]{8}\\${temporarySuffix}$`);

/** The name of the cached file that this one was, or was to become. */
function cacheNameOf(name: string): string {
  return name
    .replace(temporary, '')
    .replace(quarantined, '')
    .replace(/\.(part\.json|part|converted)$/, '');
}

/**
 * What a file is. A file is ours only if something else of ours says so: a mark for what is finished; a sidecar, a
 * lease or a claim for what is half there, since a Nova calls its own half-made files the same.
 */
async function kindOf(
  paths: HostPaths,
  { name, cacheName, mark }: Pick<FoundFile, 'name' | 'cacheName' | 'mark'>,
): Promise<CachedFileKind> {
  if (temporary.test(name) || name.endsWith('.part.json')) return 'temporary';
  if (quarantined.test(name)) return 'quarantined';
  if (name === cacheName) return mark?.kind ?? 'foreign';
  const isOurs =
    mark !== undefined ||
    (await isThere(`${paths.cache}/${cacheName}.part.json`)) ||
    (await readLease(paths, cacheName)) !== undefined ||
    (await claimsOn(paths, cacheName)).length > 0;
  return isOurs ? 'temporary' : 'foreign';
}
