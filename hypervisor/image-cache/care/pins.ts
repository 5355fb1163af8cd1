import { writeFile } from 'node:fs/promises';
import { EverbootFailure } from '../../../domain/failures.ts';
import type { HostPaths } from '../../../domain/host-paths.ts';
import { isThere, listFolder, removeFile } from '../../small-file.ts';
import { readCacheFolder } from './cache-folder.ts';

/** The names that no sweep removes. */
export async function pinnedNames(paths: HostPaths): Promise<ReadonlySet<string>> {
  return new Set(await listFolder(paths.pins));
}

/**
 * Keeps a cached file from every sweep, or lets it go again. Returns whether that changed anything. Throws ImageNotFound
 * for a name that no file of everboot's in the cache has.
 */
export async function pinBase(paths: HostPaths, name: string, pinned: boolean): Promise<boolean> {
  // Looked for in the folder's own list, so that no path is ever built from what somebody typed.
  const file = (await readCacheFolder(paths)).find((found) => found.name === name);
  if (file?.kind !== 'image' && file?.kind !== 'blank') {
    const shown = JSON.stringify(name.slice(0, 100));
    throw new EverbootFailure('ImageNotFound', `the cache has no file of everboot’s with the name ${shown}`, {
      remedy: 'Name a file as `everboot cache list` shows it.',
    });
  }
  const pin = `${paths.pins}/${file.name}`;
  const wasPinned = await isThere(pin);
  if (pinned) await writeFile(pin, '');
  else await removeFile(pin);
  return wasPinned !== pinned;
}
