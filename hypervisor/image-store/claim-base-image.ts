import { utimes } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { EverbootFailure } from '../../domain/failures.ts';
import type { BaseImageClaim, FetchOrder } from '../../domain/host-activities.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import type { BaseImage, BaseImageOrder } from '../../domain/image.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { addClaim, removeClaim } from './claims.ts';
import { type FetchLease, othersLease, takeLease } from './fetch-lease.ts';
import { throwIfRefused } from './refusals.ts';
import { findOrderedBase } from './signed-base.ts';

/** How long one attempt stays and looks, before it fails retryably and lets Temporal do the waiting. */
const holdTheLineMs = 25_000;

/** So many builds stay and look at once; the rest wait in Temporal, and leave slots for undos and first steps. */
const maxHolding = 50;
let holding = 0;

/**
 * Claims an image in the cache, before the cache is looked at. Answers with the file, or that this build is to fetch
 * it; while another build fetches it, holds the line and then throws BaseImageBusy with a delay from that fetch's pace.
 * Throws the image's refusal, if it was refused a short while ago, and what `findOrderedBase` throws; and what
 * `assertWanted` throws, which is asked when the claim is there, so that an undo comes before the question or finds it.
 */
export async function claimBaseImage(
  paths: HostPaths,
  fetch: FetchOrder,
  control: WorkControl,
  assertWanted: () => Promise<void> = async () => undefined,
): Promise<BaseImageClaim> {
  const { claim, base: order } = fetch;
  control.signal.throwIfAborted();
  await addClaim(paths, order.cacheName, claim);
  holding += 1;
  try {
    await assertWanted();
    return await untilReadyOrMine(paths, fetch, control);
  } catch (error) {
    // A zombie attempt may come here after the undo, and nobody would take its claim away again.
    const isLate = error instanceof EverbootFailure && error.code === 'OperationSuperseded';
    if (isLate || control.signal.aborted) await removeClaim(paths, order.cacheName, claim);
    throw error;
  } finally {
    holding -= 1;
  }
}

async function untilReadyOrMine(
  paths: HostPaths,
  { claim, instanceName, base: order }: FetchOrder,
  control: WorkControl,
): Promise<BaseImageClaim> {
  const deadline = holding > maxHolding ? 0 : Date.now() + holdTheLineMs;
  for (;;) {
    control.signal.throwIfAborted();
    const base = await findOrderedBase(paths, order);
    if (base !== undefined) {
      await touch(base);
      return { base };
    }
    await throwIfRefused(paths, order);
    const present = await othersLease(paths, order.cacheName, claim);
    const { mine, lease } =
      present === undefined
        ? await takeLease(paths, order.cacheName, { claim, instanceName })
        : { mine: false, lease: present };
    if (mine) return { base: null };
    if (Date.now() >= deadline) throw busyFailure(order, lease);
    control.onProgress({ doneBytes: lease.doneBytes, totalBytes: lease.totalBytes, note: fetchedBy(lease) });
    await sleep(150);
  }
}

/** The time of the last use decides what leaves the cache first. */
async function touch(base: BaseImage): Promise<void> {
  const now = new Date();
  await utimes(base.path, now, now);
}

function fetchedBy(lease: FetchLease): string {
  const percent = lease.totalBytes ? `, ${Math.floor((100 * lease.doneBytes) / lease.totalBytes)}%` : '';
  return `fetched by ${lease.instanceName}${percent}`;
}

/** Also thrown by a step of a fetch that finds another build at it. */
export function busyFailure(order: BaseImageOrder, lease: FetchLease): EverbootFailure {
  return new EverbootFailure('BaseImageBusy', `${order.image.title} is being ${fetchedBy(lease)}`, {
    retryAfterMs: remainingMs(lease),
  });
}

/** How long the fetch will still take at its own pace, between one second and half a minute. */
function remainingMs({ doneBytes, totalBytes, startedAtMs, updatedAtMs }: FetchLease): number {
  if (!totalBytes || doneBytes <= 0) return 2000;
  const paceMs = ((updatedAtMs - startedAtMs) * (totalBytes - doneBytes)) / doneBytes;
  return Math.round(Math.min(Math.max(paceMs, 1000), 30_000));
}
