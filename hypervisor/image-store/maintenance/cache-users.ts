import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { listFolder } from '../../files/small-file.ts';
import { allDomains, volumePath } from '../../libvirt/libvirt.ts';
import { readDomainXml } from '../../libvirt/read-domain-xml.ts';
import { claimsOn } from '../claims.ts';
import type { StoreMaintenance } from '../store-settings.ts';
import { backingChain } from './backing-chain.ts';

/** More than any host has. Beyond them nothing is said to be unused. */
const maxFiles = 100_000;
const maxDepth = 8;
/** A guest can invent a name that no file can have; none of the cache's is nearly as long. */
const maxNameLength = 200;

/** Who needs which cached file. */
export interface CacheUsers {
  /** Instance ids, or the names of what is not an instance of everboot's, by cache name. */
  readonly byName: ReadonlyMap<string, ReadonlySet<string>>;
  /** Why not every user could be found; null: all were. */
  readonly problem: string | null;
}

type Visit = (path: string, user: string) => Promise<void>;

/**
 * Finds everything on the host that needs a cached file: claims, disks whose backing chain leads into the cache
 * (whoever made them), and libvirt's domains. Any one of them keeps a file, since a crash may have lost the others.
 */
export async function findCacheUsers(maintenance: StoreMaintenance): Promise<CacheUsers> {
  const { paths, connectionUri } = maintenance;
  const byName = new Map<string, Set<string>>();
  const cacheFolder = await realpath(paths.cache).catch(() => paths.cache);
  const use = (name: string, user: string): void => {
    byName.set(name, (byName.get(name) ?? new Set()).add(user));
  };
  const useFile: Visit = async (path, user) => {
    const folder = await realpath(dirname(path)).catch(() => dirname(path));
    const name = basename(path);
    if (folder === cacheFolder && name.length <= maxNameLength) use(name, user);
  };
  const useChain: Visit = async (disk, user) => {
    await useFile(disk, user);
    for (const path of await backingChain(disk)) await useFile(path, user);
  };

  for (const cacheName of await listFolder(paths.claims)) {
    for (const claim of await claimsOn(paths, cacheName)) use(cacheName, claim.split('~')[0] ?? claim);
  }
  const problems = [
    await problemOf('the disks of the host were not all read', () => visitDisks(maintenance, useChain)),
    await problemOf("it is not known what libvirt's domains use", () => visitDomainFiles(connectionUri, useChain)),
  ].filter((problem) => problem !== null);
  return { byName, problem: problems.length === 0 ? null : problems.join('; ') };
}

async function problemOf(what: string, work: () => Promise<void>): Promise<string | null> {
  try {
    await work();
    return null;
  } catch (error) {
    return `${what}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Every file below `instances_path` but the cache's own and ours: Nova's snapshots lie deeper than its disks. */
async function visitDisks({ paths }: StoreMaintenance, visit: Visit): Promise<void> {
  const own = new Set([basename(paths.cache), '.everboot']);
  let visited = 0;
  const walk = async (folder: string, depth: number, owner: string | null): Promise<void> => {
    for (const entry of await entriesOf(folder)) {
      if (depth === 0 && own.has(entry.name)) continue;
      const path = `${folder}/${entry.name}`;
      const user = owner ?? userNamed(entry.name);
      visited += 1;
      if (visited > maxFiles || depth > maxDepth)
        throw new Error(`${paths.instances} has too many files or levels of folders`);
      if (await isFolder(path, entry)) await walk(path, depth + 1, user);
      else await visit(path, user);
    }
  };
  await walk(paths.instances, 0, null);
}

/** The entries of a folder; none when it went away in between, as those of deleted instances do. */
async function entriesOf(folder: string): Promise<Dirent[]> {
  return await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
}

/** An operator may have moved an instance's folder to another disk, and left a link. */
async function isFolder(path: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  return await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

/** `_resize` and the like are Nova's names for a directory that an instance has left, `.….everboot-tmp` is ours. */
function userNamed(directory: string): string {
  return directory.replace(/(?<=.)[._].*$/, '');
}

async function visitDomainFiles(uri: string, visit: Visit): Promise<void> {
  for (const { id, xml } of await allDomains(uri)) {
    const { files, volumes } = readDomainXml(xml);
    for (const path of files) await visit(path, id);
    for (const volume of volumes) await visit(await volumePath(uri, volume), id);
  }
}
