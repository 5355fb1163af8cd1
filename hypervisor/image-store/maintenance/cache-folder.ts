import type { Stats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import type { CachedFileKind } from '../../../domain/cache.ts';
import { type HostPaths, isInstanceId } from '../../../domain/host-paths.ts';
import { finalNameOf } from '../../files/publish-file.ts';
import { listFolder } from '../../files/small-file.ts';
import { type BaseMark, readMark } from '../base-facts.ts';
import { ownPartialFiles } from '../partial-files.ts';

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
  /** The mark of a file that everboot made. */
  readonly mark: BaseMark | undefined;
}

/** The space that a file occupies, which for a sparse one is less than its size. */
export function occupiedBytes({ stats }: FoundFile): number {
  return stats.blocks * 512;
}

/**
 * Whether the file that was found is still the one that has the name. Inodes are used again, so the time of its birth
 * counts, too, where the file system keeps it.
 */
export function isSameFile(found: Stats, now: Stats): boolean {
  return found.ino === now.ino && found.birthtimeMs === now.birthtimeMs;
}

/**
 * Every regular file of the cache, with what it is. Links and folders are nobody's that everboot knows, and left out.
 */
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

/** The name of the cached file that this one was, or was to become. */
function cacheNameOf(name: string): string {
  return (finalNameOf(name) ?? name).replace(quarantined, '').replace(/\.(part\.json|part|converted)$/, '');
}

/** Whether everboot could have given a cached file that name, see cache-name.ts. */
function isCacheName(name: string): boolean {
  return /^([0-9a-f]{40}|(ephemeral|swap)_[\w.]+)$/.test(name) || isInstanceId(name);
}

/**
 * The kind of a file. One that is not known to be ours is foreign: a finished file needs its mark, a partial one under
 * a name that Nova uses needs what `ownPartialFiles` asks for, and Nova does not use the other names.
 */
async function kindOf(
  paths: HostPaths,
  { name, cacheName, mark }: Pick<FoundFile, 'name' | 'cacheName' | 'mark'>,
): Promise<CachedFileKind> {
  if (name === cacheName) return mark?.kind ?? 'foreign';
  if (!isCacheName(cacheName)) return 'foreign';
  if (quarantined.test(name)) return 'quarantined';
  if (finalNameOf(name) !== null || name.endsWith('.part.json')) return 'temporary';
  const own = await ownPartialFiles(paths, cacheName);
  return (name.endsWith('.part') ? own.part : own.converted) ? 'temporary' : 'foreign';
}
