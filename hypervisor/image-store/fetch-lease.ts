import { rename, writeFile } from 'node:fs/promises';
import { type Claim, claimName } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import type { StepProgress } from '../../domain/step-progress.ts';
import { whileWritingNotes } from '../files/host-notes.ts';
import { removeTemporaryFiles, temporaryName } from '../files/publish-file.ts';
import { readStateFile, removeFile } from '../files/small-file.ts';
import { lockKeys } from '../locks/lock-keys.ts';
import { isLockFree, withLock } from '../locks/with-lock.ts';
import { claimsOn } from './claims.ts';

/**
 * Which build is to fetch a file that the cache lacks. It only spares the others the work: what keeps two writers
 * apart is the kernel lock that every step of a fetch holds. So it need not survive a crash, and is not synced.
 */
export interface FetchLease {
  readonly claim: Claim;
  /** The instance's name, for the others' progress: "fetched by web-1". */
  readonly instanceName: string;
  readonly updatedAtMs: number;
  readonly startedAtMs: number;
  readonly doneBytes: number;
  readonly totalBytes: number | null;
}

/** A fetch whose steps hold no lock and say nothing for this long is taken over by whoever wants the file next. */
const staleAfterMs = 30_000;

function leasePath(paths: HostPaths, cacheName: string): string {
  return `${paths.fetches}/${cacheName}.json`;
}

export async function readLease(paths: HostPaths, cacheName: string): Promise<FetchLease | undefined> {
  return (await readStateFile(leasePath(paths, cacheName))) as FetchLease | undefined;
}

/**
 * Makes this build the one that fetches, unless another one is at it: then that one's lease is returned.
 * Asking again with the lease in hand renews it.
 */
export async function takeLease(
  paths: HostPaths,
  cacheName: string,
  taker: { readonly claim: Claim; readonly instanceName: string },
): Promise<{ readonly mine: boolean; readonly lease: FetchLease }> {
  const whenBusy = (): never => {
    throw new EverbootFailure('BaseImageBusy', `many builds ask for ${cacheName} at once`, { retryAfterMs: 1000 });
  };
  return await withLock(paths, lockKeys.lease(cacheName), { waitMs: 10_000, whenBusy }, async () => {
    const present = await readLease(paths, cacheName);
    const mine = present !== undefined && claimName(present.claim) === claimName(taker.claim);
    if (present !== undefined && !mine && (await isAlive(paths, cacheName, present))) {
      return { mine: false, lease: present };
    }
    const now = Date.now();
    const lease: FetchLease = mine
      ? { ...present, updatedAtMs: now }
      : { ...taker, startedAtMs: now, updatedAtMs: now, doneBytes: 0, totalBytes: null };
    await writeLease(paths, cacheName, lease);
    return { mine: true, lease };
  });
}

/**
 * The lease of another build that is at it; undefined when this build has the lease or may take it. It takes no lock,
 * so that any number of builds may look as often as they like.
 */
export async function othersLease(paths: HostPaths, cacheName: string, claim: Claim): Promise<FetchLease | undefined> {
  const present = await readLease(paths, cacheName);
  if (present === undefined || claimName(present.claim) === claimName(claim)) return undefined;
  return (await isAlive(paths, cacheName, present)) ? present : undefined;
}

async function isAlive(paths: HostPaths, cacheName: string, lease: FetchLease): Promise<boolean> {
  const claims = await claimsOn(paths, cacheName);
  if (!claims.includes(claimName(lease.claim))) return false;
  if (Date.now() - lease.updatedAtMs < staleAfterMs) return true;
  return !(await isLockFree(paths, lockKeys.fetch(cacheName)));
}

/** Reports the fetch's progress to the waiting builds. Only the holder of the fetch lock calls it. */
export async function reportLease(
  paths: HostPaths,
  cacheName: string,
  lease: FetchLease,
  progress: StepProgress,
): Promise<void> {
  const { doneBytes, totalBytes } = progress;
  await writeLease(paths, cacheName, { ...lease, doneBytes, totalBytes, updatedAtMs: Date.now() });
}

/** Gives the lease back, if this claim has it. */
export async function dropLease(paths: HostPaths, cacheName: string, claim: Claim): Promise<void> {
  const present = await readLease(paths, cacheName);
  if (present !== undefined && claimName(present.claim) === claimName(claim))
    await removeFile(leasePath(paths, cacheName));
}

/**
 * Removes what killed attempts left of a lease under its temporary names. Call it with the fetch lock held, which keeps
 * those out who report; who takes a lease just now clears up another time.
 */
export async function clearLeaseLeavings(paths: HostPaths, cacheName: string): Promise<void> {
  await withLock(paths, lockKeys.lease(cacheName), { whenBusy: () => undefined }, () =>
    removeTemporaryFiles(leasePath(paths, cacheName)),
  );
}

async function writeLease(paths: HostPaths, cacheName: string, lease: FetchLease): Promise<void> {
  const path = leasePath(paths, cacheName);
  const temporaryPath = temporaryName(path);
  try {
    await whileWritingNotes(paths, async () => {
      await writeFile(temporaryPath, JSON.stringify(lease));
      await rename(temporaryPath, path);
    });
  } catch (error) {
    // On a full disk there is an empty file of that name.
    await removeFile(temporaryPath);
    throw error;
  }
}
