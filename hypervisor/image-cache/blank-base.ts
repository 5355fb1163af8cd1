import { utimes } from 'node:fs/promises';
import type { Claim } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import { lockKeys } from '../locks/lock-keys.ts';
import { withLock } from '../locks/with-lock.ts';
import { removeTemporaryFiles } from '../publish-file.ts';
import { isThere } from '../small-file.ts';
import { writeBlankMark } from './base-facts.ts';
import { addClaim } from './claims.ts';

/**
 * Claims a blank file of the cache (a formatted ephemeral disk, a swap area) and has it made where it is missing, by one
 * build at a time. Returns its path. `make` gets the final path, and publishes there only what is whole.
 */
export async function haveBlankBase(
  paths: HostPaths,
  { claim, cacheName }: { readonly claim: Claim; readonly cacheName: string },
  signal: AbortSignal,
  make: (path: string, heldLocks: readonly number[]) => Promise<void>,
): Promise<string> {
  const path = `${paths.cache}/${cacheName}`;
  await addClaim(paths, cacheName, claim);
  if (await isThere(path)) return await used(path);
  const whenBusy = (): never => {
    throw new EverbootFailure('HostIoError', `another build has been making ${path} for a minute`);
  };
  return await withLock(paths, lockKeys.fetch(cacheName), { waitMs: 60_000, signal, whenBusy }, async (lock) => {
    if (await isThere(path)) return await used(path);
    await removeTemporaryFiles(path);
    await writeBlankMark(paths, cacheName);
    await make(path, [lock.descriptor]);
    return path;
  });
}

/** The time of the last use decides what leaves the cache first. */
async function used(path: string): Promise<string> {
  const now = new Date();
  await utimes(path, now, now);
  return path;
}
