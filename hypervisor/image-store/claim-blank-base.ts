import { utimes } from 'node:fs/promises';
import type { Claim } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import { removeTemporaryFiles, temporaryName } from '../files/publish-file.ts';
import { isThere, removeFile } from '../files/small-file.ts';
import { lockKeys } from '../locks/lock-keys.ts';
import { withLock } from '../locks/with-lock.ts';
import { writeBlankMark } from './base-facts.ts';
import { baseFiles } from './base-files.ts';
import { addClaim } from './claims.ts';
import { commitBlank } from './ingest/commit.ts';

/**
 * Claims a blank disk of the cache (a formatted ephemeral disk, a swap area) and has it made where it is missing, by
 * one build at a time. Returns its path. `make` gets a temporary one: the file is committed when it is whole.
 */
export async function claimBlankBase(
  paths: HostPaths,
  { claim, cacheName }: { readonly claim: Claim; readonly cacheName: string },
  signal: AbortSignal,
  make: (temporaryPath: string, heldLocks: readonly number[]) => Promise<void>,
): Promise<string> {
  const path = baseFiles(paths, cacheName).final;
  await addClaim(paths, cacheName, claim);
  if (await isThere(path)) return await used(path);
  const whenBusy = (): never => {
    throw new EverbootFailure('HostIoError', `another build has been making ${path} for a minute`);
  };
  return await withLock(paths, lockKeys.fetch(cacheName), { waitMs: 60_000, signal, whenBusy }, async (lock) => {
    if (await isThere(path)) return await used(path);
    await removeTemporaryFiles(path);
    await writeBlankMark(paths, cacheName);
    const temporaryPath = temporaryName(path);
    try {
      await make(temporaryPath, [lock.descriptor]);
      await commitBlank(paths, cacheName, temporaryPath);
    } catch (error) {
      await removeFile(temporaryPath);
      throw error;
    }
    return path;
  });
}

/** The time of the last use decides what leaves the cache first. */
async function used(path: string): Promise<string> {
  const now = new Date();
  await utimes(path, now, now);
  return path;
}
