import type { HostPaths } from '../../../domain/host-paths.ts';
import { publishText } from '../../publish-file.ts';
import { readStateFile, removeFile } from '../../small-file.ts';

/** What a cached file ought to hold, and when that was last found to be so. */
export interface ScrubRecord {
  readonly version: 1;
  /** See `hashFile`. */
  readonly hash: string;
  readonly scrubbedAtMs: number;
}

function recordPath(paths: HostPaths, name: string): string {
  return `${paths.scrubs}/${name}.json`;
}

export async function readScrubRecord(paths: HostPaths, name: string): Promise<ScrubRecord | undefined> {
  const kept = (await readStateFile(recordPath(paths, name))) as Partial<ScrubRecord> | null | undefined;
  if (kept?.version !== 1 || typeof kept.hash !== 'string' || typeof kept.scrubbedAtMs !== 'number') return undefined;
  return { version: 1, hash: kept.hash, scrubbedAtMs: kept.scrubbedAtMs };
}

export async function writeScrubRecord(paths: HostPaths, name: string, hash: string): Promise<void> {
  const record: ScrubRecord = { version: 1, hash, scrubbedAtMs: Date.now() };
  await publishText(recordPath(paths, name), JSON.stringify(record), 0o640);
}

export async function removeScrubRecord(paths: HostPaths, name: string): Promise<void> {
  await removeFile(recordPath(paths, name));
}
