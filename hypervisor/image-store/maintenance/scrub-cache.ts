import type { DamagedBase, ScrubReport } from '../../../domain/cache.ts';
import { EverbootFailure } from '../../../domain/failures.ts';
import type { StepProgress, WorkControl } from '../../../domain/step-progress.ts';
import { lockKeys } from '../../locks/lock-keys.ts';
import { withLock } from '../../locks/with-lock.ts';
import { type BaseFacts, readFacts } from '../base-facts.ts';
import type { StoreMaintenance } from '../store-settings.ts';
import { type FoundFile, readCacheFolder } from './cache-folder.ts';
import { findCacheUsers } from './cache-users.ts';
import { type HashedFile, hashFile } from './hash-file.ts';
import { missingBases } from './missing-bases.ts';
import { quarantine } from './quarantine.ts';
import { type ScrubRecord, scrubRecordOf, writeScrubRecord } from './scrub-record.ts';

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
 * twice, or cannot be read, is quarantined. A missing base that backs disks counts as damaged, too.
 *
 * Every comparison is noted file by file, so that a scrub that was interrupted continues with the rest. Throws
 * ImageNotFound for a name that the cache does not have.
 */
export async function scrubCache(
  maintenance: StoreMaintenance,
  request: ScrubRequest,
  control: WorkControl,
): Promise<ScrubReport> {
  const whenBusy = (): never => {
    throw new EverbootFailure('HostIoError', 'another scrub has been running for a day');
  };
  const waiting = { waitMs: longestScrubMs, signal: control.signal, whenBusy };
  return await withLock(maintenance.paths, lockKeys.scrub, waiting, () => scrubAlone(maintenance, request, control));
}

async function scrubAlone(
  maintenance: StoreMaintenance,
  request: ScrubRequest,
  control: WorkControl,
): Promise<ScrubReport> {
  const files = await filesToScrub(maintenance, request);
  const totalBytes = files.reduce((sum, { stats }) => sum + stats.size, 0);
  const damaged: { image: CachedImage; quarantinedAs: string }[] = [];
  let [passedBytes, checkedBytes, checkedFiles, recordedFiles] = [0, 0, 0, 0];
  for (const image of files) {
    if (damaged.length === maxDamaged) break;
    const before = passedBytes;
    const onProgress = ({ doneBytes }: StepProgress): void =>
      control.onProgress({ doneBytes: before + doneBytes, totalBytes, note: image.name.slice(0, 12) });
    const outcome = await scrubFile(maintenance, image, { signal: control.signal, onProgress });
    passedBytes += image.stats.size;
    if (outcome === 'gone') continue;
    checkedFiles += 1;
    checkedBytes += image.stats.size;
    if (outcome === 'recorded') recordedFiles += 1;
    if (typeof outcome === 'object') damaged.push({ image, ...outcome });
  }
  const { byName } = await findCacheUsers(maintenance);
  const quarantined = damaged.map(({ image, quarantinedAs }): DamagedBase => {
    const { title, order } = image.mark;
    return { name: image.name, title, quarantinedAs, instances: [...(byName.get(image.name) ?? [])].sort(), order };
  });
  const missing = await missingBases(maintenance, byName, new Set(quarantined.map(({ name }) => name)));
  const all = [...quarantined, ...missing].slice(0, maxDamaged);
  return { host: maintenance.host, checkedFiles, checkedBytes, recordedFiles, damaged: all };
}

/**
 * So many are quarantined and fetched again at once: a disk that is dying takes everything along, and the report of it
 * has to fit in a history. The next scrub continues.
 */
const maxDamaged = 20;

/** An image of ours, as opposed to blank disks and foreign files. */
interface CachedImage extends FoundFile {
  readonly mark: BaseFacts;
}

/**
 * The files that are due, the longest unchecked first. Images alone: a blank disk is made again in no time, and nothing
 * in it is anybody's.
 */
async function filesToScrub(maintenance: StoreMaintenance, { names, force }: ScrubRequest): Promise<CachedImage[]> {
  const images = (await readCacheFolder(maintenance.paths)).filter(isCachedImage);
  const unknown = names?.find((name) => !images.some((image) => image.name === name));
  if (unknown !== undefined) {
    throw new EverbootFailure(
      'ImageNotFound',
      `the cache has no image with the name ${JSON.stringify(unknown.slice(0, 100))}`,
      { remedy: 'Name an image as `everboot cache list` shows it.' },
    );
  }
  const due: { image: CachedImage; scrubbedAtMs: number }[] = [];
  for (const image of images) {
    if (names?.includes(image.name) === false) continue;
    const scrubbedAtMs = (await scrubRecordOf(maintenance.paths, image.mark))?.scrubbedAtMs ?? 0;
    const isDue = Date.now() >= scrubbedAtMs + maintenance.settings.scrubInterval * 1000;
    if (force || isDue) due.push({ image, scrubbedAtMs });
  }
  return due.sort((one, other) => one.scrubbedAtMs - other.scrubbedAtMs).map(({ image }) => image);
}

function isCachedImage(file: FoundFile): file is CachedImage {
  return file.kind === 'image' && file.mark?.kind === 'image';
}

type Outcome = 'sound' | 'recorded' | 'gone' | { readonly quarantinedAs: string };

async function scrubFile(maintenance: StoreMaintenance, image: CachedImage, control: WorkControl): Promise<Outcome> {
  const record = await scrubRecordOf(maintenance.paths, image.mark);
  let outcome = await compare(maintenance, image, record, control);
  // A bad read may be the bus's or the memory's fault, and is worth another look.
  if (outcome === 'damaged') outcome = await compare(maintenance, image, record, control);
  if (outcome !== 'damaged') return outcome;
  const quarantinedAs = await quarantine(maintenance, image);
  return quarantinedAs === undefined ? 'gone' : { quarantinedAs };
}

async function compare(
  { paths, settings }: StoreMaintenance,
  { path, mark, stats }: CachedImage,
  record: ScrubRecord | undefined,
  control: WorkControl,
): Promise<Exclude<Outcome, object> | 'damaged'> {
  let hashed: HashedFile;
  try {
    hashed = await hashFile({ path, bytesPerSecond: settings.scrubBytesPerSecond }, control);
  } catch (error) {
    control.signal.throwIfAborted();
    const { code, errno } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return 'gone';
    if (errno !== undefined && badMediumErrnos.has(-errno)) return 'damaged';
    throw error;
  }
  if (hashed.inode !== stats.ino) return 'gone';
  if (record !== undefined && record.hash !== hashed.hash) return 'damaged';
  await writeScrubRecord(paths, mark, hashed.hash);
  return record === undefined ? 'recorded' : 'sound';
}

/** EIO, ENODATA, EBADMSG, EILSEQ, EUCLEAN, EREMOTEIO: Linux's words for bytes that the medium no longer has. */
const badMediumErrnos: ReadonlySet<number> = new Set([5, 61, 74, 84, 117, 121]);

/**
 * Records the hash of a file that has just been published, unless it has one of the same content: then the new file has
 * to prove by the next scrub that it is the old one. Throws as `hashFile` does.
 */
export async function recordBaseHash(maintenance: StoreMaintenance, name: string, control: WorkControl): Promise<void> {
  const facts = await readFacts(maintenance.paths, name);
  if (facts === undefined || (await scrubRecordOf(maintenance.paths, facts)) !== undefined) return;
  const path = `${maintenance.paths.cache}/${name}`;
  const { hash } = await hashFile({ path, bytesPerSecond: maintenance.settings.scrubBytesPerSecond }, control);
  if ((await scrubRecordOf(maintenance.paths, facts)) === undefined)
    await writeScrubRecord(maintenance.paths, facts, hash);
}
