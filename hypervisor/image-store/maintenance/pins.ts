import { lstat, writeFile } from 'node:fs/promises';
import { EverbootFailure } from '../../../domain/failures.ts';
import type { HostPaths } from '../../../domain/host-paths.ts';
import { listFolder, removeFile } from '../../files/small-file.ts';
import { whileNotEvicted } from '../claims.ts';
import { readCacheFolder } from './cache-folder.ts';

/** The names that no sweep removes. */
export async function pinnedNames(paths: HostPaths): Promise<ReadonlySet<string>> {
  return new Set(await listFolder(paths.pins));
}

/** The empty file that pins a cached file. */
export function pinPath(paths: HostPaths, name: string): string {
  return `${paths.pins}/${name}`;
}

/**
 * Keeps a cached file from every sweep, or lets it go again. Returns whether that changed anything. Throws
 * ImageNotFound for a name that no file of everboot's in the cache has, and that is not pinned.
 */
export async function pinBase(paths: HostPaths, name: string, pinned: boolean): Promise<boolean> {
  // Looked for in the folders' own lists, so that no path is ever built from what somebody typed.
  if ((await pinnedNames(paths)).has(name)) {
    if (!pinned) await removeFile(pinPath(paths, name));
    return !pinned;
  }
  const file = (await readCacheFolder(paths)).find((found) => found.name === name);
  if (file?.kind !== 'image' && file?.kind !== 'blank') throw notCached(name);
  if (!pinned) return false;
  // A sweep that has chosen the file already removes it under this lock, or finds the pin.
  return await whileNotEvicted(paths, file.cacheName, async () => {
    if ((await lstat(file.path).catch(() => undefined)) === undefined) throw notCached(name);
    await writeFile(pinPath(paths, file.name), '', { mode: 0o600 });
    return true;
  });
}

function notCached(name: string): EverbootFailure {
  const shown = JSON.stringify(name.slice(0, 100));
  return new EverbootFailure('ImageNotFound', `the cache has no file of everboot’s with the name ${shown}`, {
    remedy: 'Name a file as `everboot cache list` shows it.',
  });
}
