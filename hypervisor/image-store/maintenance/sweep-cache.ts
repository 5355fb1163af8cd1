import type { SweepReport, SweptFile } from '../../../domain/cache.ts';
import type { WorkControl } from '../../../domain/step-progress.ts';
import type { StoreMaintenance } from '../store-settings.ts';
import { type FoundFile, occupiedBytes, readCacheFolder } from './cache-folder.ts';
import { type CacheUsers, findCacheUsers } from './cache-users.ts';
import { evict } from './evict.ts';
import { sweepOrphanedFiles, tidyState } from './orphaned-files.ts';
import { pinnedNames } from './pins.ts';
import { sweepQuarantined } from './quarantine.ts';

/** For how long it counts who was found to use what. */
const lookAgainMs = 2000;
/** As many as fit in a workflow's result; the next sweep continues. */
const maxRemoved = 2000;

/**
 * Removes from the cache what nobody continues with, what was not used for long, and, least recently used first, what
 * is over the budget. Never what anything uses, what is pinned, or what everboot did not make. Where it is not known
 * what libvirt's domains use, no image is removed at all. With `dryRun` it only says what it would remove.
 */
export async function sweepCache(
  maintenance: StoreMaintenance,
  { dryRun }: { readonly dryRun: boolean },
  { signal }: WorkControl,
): Promise<SweepReport> {
  const { paths, settings, host } = maintenance;
  const found = await readCacheFolder(paths);
  const total = sumOf(found);
  const notes: string[] = [];
  const removed: SweptFile[] = [...(await sweepOrphanedFiles(maintenance, found, { dryRun }))];
  signal.throwIfAborted();

  let users = await findCacheUsers(maintenance);
  let lookedAtMs = Date.now();
  if (users.problem === null) removed.push(...(await sweepQuarantined(maintenance, found, { dryRun })));
  const others = removed.length;
  const unused = users.problem === null ? await unusedFiles(maintenance, found, users) : [];
  for (const { file, reason } of chosen(unused, total - freedBy(removed), maintenance)) {
    signal.throwIfAborted();
    if (!dryRun) {
      // Whoever claims a file is seen at once, under its lock; whoever does not, like Nova, only by looking again.
      if (Date.now() - lookedAtMs > lookAgainMs) [users, lookedAtMs] = [await findCacheUsers(maintenance), Date.now()];
      if (users.problem !== null) break;
      if (users.byName.has(file.name) || !(await evict(maintenance, file))) continue;
    }
    removed.push({ name: file.name, occupiedBytes: occupiedBytes(file), reason });
    if (removed.length >= maxRemoved) break;
  }
  if (users.problem !== null) {
    notes.push(
      `${removed.length === others ? 'no image was' : 'no more images were'} removed, because ${users.problem}`,
    );
  }
  if (!dryRun) await tidyState(maintenance, users);

  const left = total - freedBy(removed);
  if (settings.maxBytes !== null && left > settings.maxBytes) {
    notes.push(
      `the cache is over max_bytes by ${left - settings.maxBytes} bytes of files that are used, pinned or foreign`,
    );
  }
  return { host, dryRun, removed, freedBytes: freedBy(removed), occupiedBytes: left, notes };
}

/** Images and blank disks that nothing needs, the least recently used first. */
async function unusedFiles(
  { paths }: StoreMaintenance,
  found: readonly FoundFile[],
  users: CacheUsers,
): Promise<FoundFile[]> {
  const pins = await pinnedNames(paths);
  return found
    .filter(({ kind }) => kind === 'image' || kind === 'blank')
    .filter(({ name }) => !users.byName.has(name) && !pins.has(name))
    .sort((one, other) => one.stats.mtimeMs - other.stats.mtimeMs);
}

/** Which of them go, and why: what is old, and then as much as the budget asks for. */
function chosen(
  unused: readonly FoundFile[],
  occupied: number,
  { settings }: StoreMaintenance,
): { readonly file: FoundFile; readonly reason: string }[] {
  const { maxBytes, removeUnusedOriginalMinimumAgeSeconds } = settings;
  let left = occupied;
  return unused.flatMap((file) => {
    const ageSeconds = Math.max(0, (Date.now() - file.stats.mtimeMs) / 1000);
    const isOld = ageSeconds >= removeUnusedOriginalMinimumAgeSeconds;
    const overBytes = maxBytes === null ? 0 : left - maxBytes;
    if (!isOld && overBytes <= 0) return [];
    left -= occupiedBytes(file);
    const reason = isOld ? `unused for ${ageText(ageSeconds)}` : `the cache was over max_bytes by ${overBytes} bytes`;
    return [{ file, reason }];
  });
}

function ageText(seconds: number): string {
  const hours = Math.floor(seconds / 3600);
  return hours < 1 ? `${Math.floor(seconds)} seconds` : `${hours} hours`;
}

function sumOf(files: readonly FoundFile[]): number {
  return files.reduce((sum, file) => sum + occupiedBytes(file), 0);
}

function freedBy(removed: readonly SweptFile[]): number {
  return removed.reduce((sum, file) => sum + file.occupiedBytes, 0);
}
