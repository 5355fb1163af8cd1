import { randomBytes } from 'node:crypto';
import { lstat, readlink, realpath, rename } from 'node:fs/promises';
import type { SweptFile } from '../../../domain/cache.ts';
import { syncPath } from '../../files/publish-file.ts';
import { listFolder, removeFile } from '../../files/small-file.ts';
import type { StoreMaintenance } from '../store-settings.ts';
import { type FoundFile, isSameFile, occupiedBytes } from './cache-folder.ts';
import { aloneWith } from './evict.ts';

/** Whoever claims the file holds its lock for a moment only. */
const lockWaitMs = 10_000;

/**
 * Takes a damaged file out of use: under another name nothing is built on it. What runs on it keeps it open, and gets
 * the right bytes with its next start, when the image was fetched again: the same digest, converted the same way, is
 * the same raw disk byte for byte, so that every overlay fits the new file as it did the old one. Facts and hash stay,
 * since they say how to fetch it, and its digest.
 *
 * Returns the new name; undefined when somebody is at the file for longer than a moment, or it is another one by now.
 */
export async function quarantine(
  maintenance: StoreMaintenance,
  { cacheName, path, stats }: FoundFile,
): Promise<string | undefined> {
  const name = `${cacheName}.damaged-${randomBytes(4).toString('hex')}`;
  let isDone = false;
  const moveToQuarantine = async (): Promise<void> => {
    const now = await lstat(path).catch(() => undefined);
    if (now === undefined || !isSameFile(stats, now)) return;
    await rename(path, `${maintenance.paths.cache}/${name}`);
    await syncPath(maintenance.paths.cache);
    isDone = true;
  };
  await aloneWith(maintenance, cacheName, moveToQuarantine, { mayBeClaimed: true, waitMs: lockWaitMs });
  return isDone ? name : undefined;
}

/**
 * Removes damaged files that were quarantined long enough ago, and that no process has open any more. It would do a
 * guest no harm, which keeps what it has open; but as long as it runs, the file is the only trace of what it reads.
 */
export async function sweepQuarantined(
  maintenance: StoreMaintenance,
  found: readonly FoundFile[],
  { dryRun }: { readonly dryRun: boolean },
): Promise<SweptFile[]> {
  const minimumAgeMs = maintenance.settings.removeUnusedOriginalMinimumAgeSeconds * 1000;
  // The renaming counts as the last change of the file itself.
  const old = found.filter(({ kind, stats }) => kind === 'quarantined' && Date.now() - stats.ctimeMs >= minimumAgeMs);
  if (old.length === 0) return [];
  const open = await openFiles();
  const folder = await realpath(maintenance.paths.cache);
  const swept: SweptFile[] = [];
  for (const file of old) {
    if (open.has(`${folder}/${file.name}`)) continue;
    if (!dryRun) await removeFile(file.path);
    swept.push({ name: file.name, occupiedBytes: occupiedBytes(file), reason: 'damaged, and quarantined long ago' });
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
