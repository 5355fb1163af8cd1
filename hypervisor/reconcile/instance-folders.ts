import { lstat } from 'node:fs/promises';
import { basename } from 'node:path';
import { type HostPaths, isInstanceId } from '../../domain/host-paths.ts';
import { finalNameOf, temporarySuffix } from '../files/publish-file.ts';
import { isThere, listFolder } from '../files/small-file.ts';
import { type Inventory, orphanOf, recordUnreadable } from './inventory.ts';
import { readRecordState } from './record-state.ts';

/** More than any host has; the rest is looked at when these are gone. */
const maxEntries = 20_000;

/** Finds instances by their directories, what is partial beside and in them, and what others made there. */
export async function findInstanceFolders(paths: HostPaths, inventory: Inventory): Promise<void> {
  const own = new Set([basename(paths.cache), '.everboot']);
  const names = (await listFolder(paths.instances)).filter((name) => !own.has(name));
  if (names.length > maxEntries) inventory.notes.push(`${paths.instances} has more than ${maxEntries} entries`);
  for (const name of names.slice(0, maxEntries)) {
    await recordUnreadable(`${paths.instances}/${name}`, inventory, () => lookAt(paths, name, inventory));
  }
  for (const name of await listFolder(`${paths.instances}/.everboot`)) {
    if (finalNameOf(name) !== null) await note(`${paths.instances}/.everboot/${name}`, null, false, inventory);
  }
}

async function lookAt(paths: HostPaths, name: string, inventory: Inventory): Promise<void> {
  const path = `${paths.instances}/${name}`;
  // An instance's folder before it has its name (see `reserveDirectory`), or after it was renamed to be removed.
  const partialFilesOf = finalNameOf(name) ?? basename(name, temporarySuffix);
  if (partialFilesOf !== name && isInstanceId(partialFilesOf)) return await note(path, partialFilesOf, true, inventory);
  if (!isInstanceId(name)) return void inventory.foreign.push({ subject: path, reason: 'NoClaim' });

  const record = await readRecordState(paths, name);
  if (record === 'unreadable') {
    inventory.unreadable.add(name);
    return void inventory.foreign.push({ subject: path, reason: 'UnreadableRecord' });
  }
  if (record === undefined) {
    // One that was removed in between is nobody's.
    if (await isThere(path)) inventory.foreign.push({ subject: path, reason: 'NoClaim' });
    return;
  }
  inventory.records.set(name, record);
  orphanOf(inventory, record.claim).directory = true;
  // Deeper there is only a container's root, which is its tenant's.
  for (const entry of await listFolder(path)) {
    if (finalNameOf(entry) !== null) await note(`${path}/${entry}`, name, false, inventory);
  }
}

async function note(path: string, instanceId: string | null, isFolder: boolean, inventory: Inventory): Promise<void> {
  const stats = await lstat(path).catch(() => undefined);
  if (stats === undefined) return;
  inventory.temporaryFiles.push({ path, instanceId, isFolder, modifiedMs: stats.mtimeMs });
}
