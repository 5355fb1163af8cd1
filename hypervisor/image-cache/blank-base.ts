import { utimes } from 'node:fs/promises';
import type { Claim } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import { waitForKernelLock } from '../kernel-lock.ts';
import { removeTemporaryFiles } from '../publish-file.ts';
import { isThere } from '../small-file.ts';
import { writeBlankMark } from './base-facts.ts';
import { addClaim } from './claims.ts';
import { fetchLockKey } from './fetch-lease.ts';

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
  const lock = await waitForKernelLock(
    { lockFile: paths.locks, key: fetchLockKey(cacheName) },
    { timeoutMs: 60_000, signal },
  );
  if (lock === undefined)
    throw new EverbootFailure('HostIoError', `another build has been making ${path} for a minute`);
  try {
    if (await isThere(path)) return await used(path);
    await removeTemporaryFiles(path);
    await writeBlankMark(paths, cacheName);
    await make(path, [lock.descriptor]);
    return path;
  } finally {
    await lock.release();
  }
}

/** The time of the last use decides what leaves the cache first. */
async function used(path: string): Promise<string> {
  const now = new Date();
  await utimes(path, now, now);
  return path;
}
