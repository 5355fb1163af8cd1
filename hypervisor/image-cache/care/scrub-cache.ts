import type { DamagedBase, ScrubReport } from '../../../domain/cache.ts';
import { EverbootFailure } from '../../../domain/failures.ts';
import type { StepProgress, WorkControl } from '../../../domain/step-progress.ts';
import { waitForKernelLock } from '../../kernel-lock.ts';
import type { CacheCare } from './cache-care.ts';
import { type FoundFile, readCacheFolder } from './cache-folder.ts';
import { findCacheUsers } from './cache-users.ts';
import { type HashedFile, hashFile } from './hash-file.ts';
import { missingBases } from './missing-bases.ts';
import { quarantine } from './quarantine.ts';
import { readScrubRecord, type ScrubRecord, writeScrubRecord } from './scrub-record.ts';

/** A scrub of a large cache takes long; another one waits for it. */
const longestScrubMs = 24 * 3_600_000;

export interface ScrubRequest {
  /** Null: all that are due. */
  readonly names: readonly string[] | null;
  /** True: due or not. */
  readonly force: boolean;
}

/**
 * Reads cached files again, and compares each with its recorded hash; one without gets its hash recorded. What differs
 * twice, or cannot be read, is put aside. A base that disks lie on and that is gone counts as damaged, too.
 *
 * What was compared is noted file by file, so that a scrub that was interrupted goes on with the rest. Throws
 * ImageNotFound for a name that the cache does not have.
 */
export async function scrubCache(care: CacheCare, request: ScrubRequest, control: WorkControl): Promise<ScrubReport> {
  const lock = await waitForKernelLock(
    { lockFile: care.paths.locks, key: 'scrub' },
    { timeoutMs: longestScrubMs, signal: control.signal },
  );
  if (lock === undefined) throw new EverbootFailure('HostIoError', 'another scrub has been running for a day');
  try {
    return await scrubAlone(care, request, control);
  } finally {
    await lock.release();
  }
}

async function scrubAlone(care: CacheCare, request: ScrubRequest, control: WorkControl): Promise<ScrubReport> {
  const files = await filesToScrub(care, request);
  const totalBytes = files.reduce((sum, { stats }) => sum + stats.size, 0);
  const damaged: { file: FoundFile; quarantinedAs: string }[] = [];
  let [doneBytes, checkedFiles, recordedFiles] = [0, 0, 0];
  for (const file of files) {
    const before = doneBytes;
    const onProgress = (progress: StepProgress): void =>
      control.onProgress({ doneBytes: before + progress.doneBytes, totalBytes, note: file.name.slice(0, 12) });
    const outcome = await scrubFile(care, file, { signal: control.signal, onProgress });
    doneBytes += file.stats.size;
    if (outcome === 'gone') continue;
    checkedFiles += 1;
    if (outcome === 'recorded') recordedFiles += 1;
    if (typeof outcome === 'object') damaged.push({ file, ...outcome });
  }
  const { byName } = await findCacheUsers(care);
  const aside = damaged.map(({ file, quarantinedAs }): DamagedBase => {
    const facts = file.mark?.kind === 'image' ? file.mark : undefined;
    const instances = [...(byName.get(file.name) ?? [])].sort();
    return { name: file.name, title: facts?.title ?? file.name, quarantinedAs, instances, order: facts?.order ?? null };
  });
  const missing = await missingBases(care, byName, new Set(aside.map(({ name }) => name)));
  return {
    host: care.host,
    ...{ checkedFiles, checkedBytes: doneBytes, recordedFiles },
    damaged: [...aside, ...missing],
  };
}

/** Images alone: a blank disk is made again in no time, and nothing in it is anybody's. */
async function filesToScrub(care: CacheCare, { names, force }: ScrubRequest): Promise<FoundFile[]> {
  const images = (await readCacheFolder(care.paths)).filter(({ kind }) => kind === 'image');
  const unknown = names?.find((name) => !images.some((image) => image.name === name));
  if (unknown !== undefined) {
    throw new EverbootFailure(
      'ImageNotFound',
      `the cache has no image with the name ${JSON.stringify(unknown.slice(0, 100))}`,
      { remedy: 'Name an image as `everboot cache list` shows it.' },
    );
  }
  const chosen = names === null ? images : images.filter(({ name }) => names.includes(name));
  const due: FoundFile[] = [];
  for (const file of chosen) {
    const record = await readScrubRecord(care.paths, file.name);
    const dueAtMs = (record?.scrubbedAtMs ?? 0) + care.settings.scrubInterval * 1000;
    if (force || Date.now() >= dueAtMs) due.push(file);
  }
  return due;
}

type Outcome = 'sound' | 'recorded' | 'gone' | { readonly quarantinedAs: string };

async function scrubFile(care: CacheCare, file: FoundFile, control: WorkControl): Promise<Outcome> {
  const record = await readScrubRecord(care.paths, file.name);
  let differs = await compare(care, file, record, control);
  // A bad read may be the bus's or the memory's fault, and is worth another look.
  if (differs === 'damaged') differs = await compare(care, file, record, control);
  if (differs !== 'damaged') return differs;
  const quarantinedAs = await quarantine(care, file);
  return quarantinedAs === undefined ? 'gone' : { quarantinedAs };
}

async function compare(
  { paths, settings }: CacheCare,
  { path, name, stats }: FoundFile,
  record: ScrubRecord | undefined,
  control: WorkControl,
): Promise<Exclude<Outcome, object> | 'damaged'> {
  let hashed: HashedFile;
  try {
    hashed = await hashFile({ path, bytesPerSecond: settings.scrubBytesPerSecond }, control);
  } catch (error) {
    control.signal.throwIfAborted();
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return 'gone';
    if (code === 'EIO' || code === 'EBADMSG') return 'damaged';
    throw error;
  }
  if (hashed.inode !== stats.ino) return 'gone';
  if (record !== undefined && record.hash !== hashed.hash) return 'damaged';
  await writeScrubRecord(paths, name, hashed.hash);
  return record === undefined ? 'recorded' : 'sound';
}

/** Records the hash of a file that has just been published, unless it has one. Throws as `hashFile` does. */
export async function recordBaseHash(care: CacheCare, name: string, control: WorkControl): Promise<void> {
  if ((await readScrubRecord(care.paths, name)) !== undefined) return;
  const path = `${care.paths.cache}/${name}`;
  const { hash } = await hashFile({ path, bytesPerSecond: care.settings.scrubBytesPerSecond }, control);
  if ((await readScrubRecord(care.paths, name)) === undefined) await writeScrubRecord(care.paths, name, hash);
}
