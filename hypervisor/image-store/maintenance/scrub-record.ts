import { createHash } from 'node:crypto';
import type { HostPaths } from '../../../domain/host-paths.ts';
import type { BaseImageOrder } from '../../../domain/image.ts';
import { publishNote } from '../../files/host-notes.ts';
import { readStateFile, removeFile } from '../../files/small-file.ts';
import type { BaseFacts } from '../base-facts.ts';

/** The hash that a cached file should have, and when it was last found to have it. */
export interface ScrubRecord {
  readonly version: 1;
  /** Which content the hash is of, see `contentOf`; null where an earlier release did not note it. */
  readonly content: string | null;
  /** See `hashFile`. */
  readonly hash: string;
  readonly scrubbedAtMs: number;
  /** The image's title and how to fetch it again: a fetch that failed has no facts of it any more. */
  readonly title: string | null;
  readonly order: BaseImageOrder | null;
}

function recordPath(paths: HostPaths, name: string): string {
  return `${paths.scrubs}/${name}.json`;
}

/**
 * The identity of a file's contents: two files of one name that are fetched by the same digest and converted the same
 * way hold the same bytes. An operator who removed the file may have changed `force_raw_images` since; then the hash
 * that was recorded says nothing of the file that is there now.
 */
function contentOf({ digest, imageVersion, format, from, virtualSizeBytes, fileSizeBytes }: BaseFacts): string {
  const text = JSON.stringify([digest, imageVersion, format, from, virtualSizeBytes, fileSizeBytes]);
  return createHash('sha256').update(text).digest('hex');
}

/** The record of a cached file, whatever is there now. */
export async function readScrubRecord(paths: HostPaths, name: string): Promise<ScrubRecord | undefined> {
  const kept = (await readStateFile(recordPath(paths, name))) as Partial<ScrubRecord> | null | undefined;
  if (kept?.version !== 1 || typeof kept.hash !== 'string' || typeof kept.scrubbedAtMs !== 'number') return undefined;
  const { hash, scrubbedAtMs, content = null, title = null, order = null } = kept;
  return { version: 1, content, hash, scrubbedAtMs, title, order };
}

/** The record, if it is of the content that the facts describe. */
export async function scrubRecordOf(paths: HostPaths, facts: BaseFacts): Promise<ScrubRecord | undefined> {
  const record = await readScrubRecord(paths, facts.cacheName);
  return record?.content === null || record?.content === contentOf(facts) ? record : undefined;
}

/** Notes that the file has this hash, and was compared just now. */
export async function writeScrubRecord(paths: HostPaths, facts: BaseFacts, hash: string): Promise<void> {
  const { cacheName, title, order } = facts;
  const record: ScrubRecord = { version: 1, content: contentOf(facts), hash, scrubbedAtMs: Date.now(), title, order };
  await publishNote(paths, recordPath(paths, cacheName), JSON.stringify(record));
}

export async function removeScrubRecord(paths: HostPaths, name: string): Promise<void> {
  await removeFile(recordPath(paths, name));
}
