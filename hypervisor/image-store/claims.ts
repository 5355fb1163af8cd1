import { mkdir, rmdir, writeFile } from 'node:fs/promises';
import { type Claim, claimName } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import { listFolder, removeFile } from '../files/small-file.ts';
import { lockKeys } from '../locks/lock-keys.ts';
import { withLock } from '../locks/with-lock.ts';

/** How often the folder of a file's claims may vanish while one is added to it. */
const maxAttempts = 10;

/**
 * Who needs a cached file: a folder a file, in it an empty file a claim. It is made before the cache is looked at, so
 * that nothing is removed between the look and the use, and it stays for as long as the instance does.
 */
export async function addClaim(paths: HostPaths, cacheName: string, claim: Claim): Promise<void> {
  await whileNotEvicted(paths, cacheName, () => writeClaim(paths, cacheName, claim));
}

/**
 * Does what keeps a file in the cache while nobody may be removing it: a file is removed while the lock is held alone,
 * and only when no claim and no pin is there by then. Throws HostIoError where it is being removed for ten seconds.
 */
export async function whileNotEvicted<Made>(
  paths: HostPaths,
  cacheName: string,
  work: () => Promise<Made>,
): Promise<Made> {
  const whenBusy = (): never => {
    throw new EverbootFailure('HostIoError', `${cacheName} is being evicted: it could not be claimed within 10 s`);
  };
  return await withLock(paths, lockKeys.evict(cacheName), { shared: true, waitMs: 10_000, whenBusy }, work);
}

async function writeClaim(paths: HostPaths, cacheName: string, claim: Claim): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await mkdir(`${paths.claims}/${cacheName}`, { recursive: true });
      await writeFile(`${paths.claims}/${cacheName}/${claimName(claim)}`, '');
      return;
    } catch (error) {
      // Somebody removed the last claim, and the folder with it, in between; that may fail the making of it, too.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt >= maxAttempts) throw error;
    }
  }
}

/** Takes a claim away; absence is success. */
export async function removeClaim(paths: HostPaths, cacheName: string, claim: Claim): Promise<void> {
  await removeFile(`${paths.claims}/${cacheName}/${claimName(claim)}`);
  await rmdir(`${paths.claims}/${cacheName}`).catch(() => undefined);
}

/** The names of all claims on a cached file, see `claimName`. */
export async function claimsOn(paths: HostPaths, cacheName: string): Promise<string[]> {
  return await listFolder(`${paths.claims}/${cacheName}`);
}

/** Every cached file on which an instance has a claim, whichever of its operations took it. */
export async function claimedBy(paths: HostPaths, instanceId: string): Promise<{ cacheName: string; claim: Claim }[]> {
  const found: { cacheName: string; claim: Claim }[] = [];
  for (const cacheName of await listFolder(paths.claims)) {
    for (const name of await claimsOn(paths, cacheName)) {
      const [owner, operationId] = name.split('~');
      if (owner === instanceId && operationId !== undefined)
        found.push({ cacheName, claim: { instanceId, operationId } });
    }
  }
  return found;
}

/**
 * Removes the folders in which there is no claim: one is left where a step is killed right after it made the folder, or
 * before it removed it. Whoever is about to write a claim into one makes it again.
 */
export async function dropEmptyClaims(paths: HostPaths): Promise<void> {
  for (const cacheName of await listFolder(paths.claims)) {
    if ((await claimsOn(paths, cacheName)).length > 0) continue;
    await rmdir(`${paths.claims}/${cacheName}`).catch(() => undefined);
  }
}
