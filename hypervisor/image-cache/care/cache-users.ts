import { lstat, realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { allDomains } from '../../libvirt.ts';
import { listFolder } from '../../small-file.ts';
import { claimsOn } from '../claims.ts';
import { backingChain } from './backing-chain.ts';
import type { CacheCare } from './cache-care.ts';

/** More than any host has. */
const maxDirectories = 20_000;
const maxFilesEach = 64;

/** Who needs which cached file. */
export interface CacheUsers {
  /** Instance ids, or the names of what is not an instance of everboot's, by cache name. */
  readonly byName: ReadonlyMap<string, ReadonlySet<string>>;
  /** Why not every user could be found; null: all were. */
  readonly problem: string | null;
}

/**
 * Finds everything on the host that needs a cached file: claims, disks whose backing chain leads into the cache (whoever
 * made them), and libvirt's domains. Any one of them keeps a file, since a crash may have lost the others.
 */
export async function findCacheUsers(care: CacheCare): Promise<CacheUsers> {
  const byName = new Map<string, Set<string>>();
  const cacheFolder = await realpath(care.paths.cache).catch(() => care.paths.cache);
  const use = (name: string, user: string): void => {
    byName.set(name, (byName.get(name) ?? new Set()).add(user));
  };
  const useFile = async (path: string, user: string): Promise<void> => {
    const folder = await realpath(dirname(path)).catch(() => dirname(path));
    if (folder === cacheFolder) use(basename(path), user);
  };
  const useChain = async (disk: string, user: string): Promise<void> => {
    for (const path of [disk, ...(await backingChain(disk))]) await useFile(path, user);
  };

  for (const cacheName of await listFolder(care.paths.claims)) {
    for (const claim of await claimsOn(care.paths, cacheName)) use(cacheName, claim.split('~')[0] ?? claim);
  }
  await forEachDisk(care, useChain);
  return { byName, problem: await forEachDomainFile(care.connectionUri, useChain) };
}

type Visit = (path: string, user: string) => Promise<void>;

async function forEachDisk({ paths }: CacheCare, visit: Visit): Promise<void> {
  const own = new Set([basename(paths.cache), '.everboot']);
  for (const directory of (await listFolder(paths.instances)).slice(0, maxDirectories)) {
    if (own.has(directory)) continue;
    const folder = `${paths.instances}/${directory}`;
    const names = (await lstat(folder).catch(() => undefined))?.isDirectory() === true ? await listFolder(folder) : [];
    // `_resize` and the like are Nova's names for a directory that an instance has left.
    const user = directory.replace(/[._].*$/, '');
    for (const name of names.slice(0, maxFilesEach)) await visit(`${folder}/${name}`, user);
  }
}

async function forEachDomainFile(uri: string, visit: Visit): Promise<string | null> {
  try {
    for (const { id, xml } of await allDomains(uri)) {
      for (const path of filesInDomainXml(xml)) await visit(path, id);
    }
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Disks, the chains below them as far as libvirt tells them, kernels and ramdisks. */
function filesInDomainXml(xml: string): string[] {
  const found = [...xml.matchAll(/<source\b[^>]*?\sfile=(?:'([^']*)'|"([^"]*)")/g)].map(
    ([, one, other]) => one ?? other,
  );
  const boot = [...xml.matchAll(/<(?:kernel|initrd)>([^<]*)</g)].map(([, path]) => path);
  return [...found, ...boot].flatMap((path) => (path === undefined ? [] : [unescaped(path)]));
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function unescaped(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|apos);/g, (whole, name: string) => entities[name] ?? whole);
}
