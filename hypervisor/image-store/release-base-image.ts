import { utimes } from 'node:fs/promises';
import { type Claim, claimName } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import { removeTemporaryFiles } from '../files/publish-file.ts';
import { isThere, removeFile } from '../files/small-file.ts';
import { lockKeys } from '../locks/lock-keys.ts';
import { withLock } from '../locks/with-lock.ts';
import { factsPath, removeFacts } from './base-facts.ts';
import { baseFiles } from './base-files.ts';
import { claimedBy, claimsOn, dropEmptyClaims, removeClaim } from './claims.ts';
import { clearLeaseLeavings, dropLease } from './fetch-lease.ts';
import { ownPartialFiles } from './partial-files.ts';
import { refusalPath } from './refusals.ts';

/**
 * Releases a claim on a cached file. The file itself stays for the next instance; a partial one is removed when nobody
 * claims it any more. Absence is success.
 */
export async function releaseBaseImage(paths: HostPaths, cacheName: string, claim: Claim): Promise<void> {
  const giveUp = async (): Promise<boolean> => {
    await removeClaim(paths, cacheName, claim);
    await dropLease(paths, cacheName, claim);
    return (await claimsOn(paths, cacheName)).length === 0;
  };
  const isShared = (await claimsOn(paths, cacheName)).some((name) => name !== claimName(claim));
  if (isShared && !(await giveUp())) return;
  // The last claim stays until nobody writes any more: it is what brings the next attempt back here.
  const whenBusy = (): never => {
    throw new EverbootFailure('HostIoError', `a program still writes ${cacheName} in the cache`);
  };
  await withLock(paths, lockKeys.fetch(cacheName), { waitMs: 15_000, whenBusy }, async () => {
    // Somebody may have claimed it, or finished it, while this waited for the lock.
    if (!(await giveUp())) return;
    const { final, part, sidecar, converted } = baseFiles(paths, cacheName);
    const own = await ownPartialFiles(paths, cacheName);
    if (own.converted) await removeFile(converted);
    if (own.part) await removeFile(part);
    // Last: as long as it is there, the others are known to be ours.
    await removeFile(sidecar);
    // Its age counts from the end of its last use.
    if (await isThere(final)) await utimes(final, new Date(), new Date());
    else await removeFacts(paths, cacheName);
    // What a killed step left under temporary names: nobody but the holder of the lock writes these files.
    const written = [final, sidecar, factsPath(paths, cacheName), refusalPath(paths, cacheName)];
    for (const path of written) await removeTemporaryFiles(path);
    await clearLeaseLeavings(paths, cacheName);
  });
}

/**
 * Releases the claims of an instance, those of all its operations that are meant, and clears what killed steps left of
 * others' claims. Absence is success.
 */
export async function releaseInstanceClaims(
  paths: HostPaths,
  instanceId: string,
  isMeant: (operationId: string) => boolean,
): Promise<void> {
  for (const { cacheName, claim } of await claimedBy(paths, instanceId)) {
    if (isMeant(claim.operationId)) await releaseBaseImage(paths, cacheName, claim);
  }
  await dropEmptyClaims(paths);
}
