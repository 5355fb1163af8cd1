import { randomBytes } from 'node:crypto';
import { lstat, readlink, rename } from 'node:fs/promises';
import type { SweptFile } from '../../../domain/cache.ts';
import { syncPath } from '../../publish-file.ts';
import { listFolder, removeFile } from '../../small-file.ts';
import type { CacheCare } from './cache-care.ts';
import { type FoundFile, occupiedBytes } from './cache-folder.ts';
import { aloneWith } from './evict.ts';

/**
 * Takes a damaged file out of use: under another name nothing is built on it. What runs on it keeps it open, and gets
 * the right bytes with its next start, when the image was fetched again. Returns the new name; undefined when somebody
 * is at the file right now, or it is another one by now.
 */
export async function quarantine(care: CacheCare, { cacheName, path, stats }: FoundFile): Promise<string | undefined> {
  const name = `${cacheName}.damaged-${randomBytes(4).toString('hex')}`;
  let isDone = false;
  const moveAside = async (): Promise<void> => {
    const now = await lstat(path).catch(() => undefined);
    if (now?.ino !== stats.ino) return;
    await rename(path, `${care.paths.cache}/${name}`);
    await syncPath(care.paths.cache);
    isDone = true;
  };
  await aloneWith(care, cacheName, moveAside, { mayBeClaimed: true });
  return isDone ? name : undefined;
}

/** Removes damaged files that were put aside long enough ago, and that no process has open any more. */
export async function sweepQuarantined(
  care: CacheCare,
  found: readonly FoundFile[],
  { dryRun }: { readonly dryRun: boolean },
): Promise<SweptFile[]> {
  const minimumAgeMs = care.settings.removeUnusedOriginalMinimumAgeSeconds * 1000;
  // The renaming counts as the last change of the file itself.
  const old = found.filter(({ kind, stats }) => kind === 'quarantined' && Date.now() - stats.ctimeMs >= minimumAgeMs);
  if (old.length === 0) return [];
  const open = await openFiles();
  const swept: SweptFile[] = [];
  for (const file of old) {
    if (open.has(file.path)) continue;
    if (!dryRun) await removeFile(file.path);
    swept.push({ name: file.name, occupiedBytes: occupiedBytes(file), reason: 'damaged, and put aside long ago' });
  }
  return swept;
}

/** The paths of all files that processes have open, as the kernel names them now. */
async function openFiles(): Promise<ReadonlySet<string>> {
  const paths = new Set<string>();
  for (const pid of await listFolder('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const descriptor of await listFolder(`/proc/${pid}/fd`).catch(() => [])) {
      paths.add(await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => ''));
    }
  }
  return paths;
}
