import { claimName } from '../../../domain/claim.ts';
import type { DownloadedBase, FetchOrder } from '../../../domain/host-activities.ts';
import type { WorkControl } from '../../../domain/step-progress.ts';
import { judgeHead } from '../../image-inspector/judge-head.ts';
import type { WorkLock } from '../../locks/with-lock.ts';
import { returnSpace } from '../../space/space-ledger.ts';
import { removeFacts } from '../base-facts.ts';
import { baseFiles } from '../base-files.ts';
import { type Downloaded, downloadImage } from '../download/download-image.ts';
import { verifiedSize } from '../download/part-state.ts';
import type { StoreIngest } from '../store-settings.ts';
import { underFetchLock } from './ingest-step.ts';
import { inPromisedSpace } from './promised-space.ts';

/**
 * Brings the image into the part, continuing from the bytes that are safely there, and hashes it on the way. The head
 * is judged as soon as it is there, so that a hostile image costs no more than its first MiB.
 */
export async function downloadBase(
  store: StoreIngest,
  order: FetchOrder,
  control: WorkControl,
): Promise<DownloadedBase> {
  const made = await underFetchLock(store.paths, order, control, (lock, reporting) =>
    fetchPart(store, order, lock, reporting),
  );
  // Another build finished the image in between: there is nothing left to fetch.
  return 'cacheName' in made ? { sizeBytes: 0, resumedAtBytes: 0 } : made;
}

/**
 * Fetches what is missing of the image in the part, if anything is. Every step that reads the part begins with it: the
 * bytes are not synced when they are fetched, so a crash of the machine may take some of them long after the download
 * was done, and leaves zeros in their place.
 */
export async function fetchPart(
  store: StoreIngest,
  { claim, base }: FetchOrder,
  lock: WorkLock,
  control: WorkControl,
): Promise<Downloaded> {
  const { paths, sources } = store;
  const { part } = baseFiles(paths, base.cacheName);
  const purpose = `download-${base.cacheName}`;
  const sizeBytes = await verifiedSize(part, base.image);
  if (sizeBytes !== undefined) {
    // An attempt that was killed at its very end has not given its promise back.
    await returnSpace(paths, claim, purpose);
    return { sizeBytes, resumedAtBytes: sizeBytes };
  }
  const file = { claim, purpose, path: part, bytes: base.image.sizeBytes ?? 0 };
  return await inPromisedSpace(store, file, control, async (kept) => {
    // What was known of the file that was here before says nothing of this one.
    await removeFacts(paths, base.cacheName);
    const order = {
      image: base.image,
      partPath: part,
      heldLocks: [lock.descriptor],
      timeMs: sources.glance.imageFetchTimeout * 1000,
      fetcher: claimName(claim),
      ...(base.role === 'root' && { judgeHead }),
    };
    return await downloadImage(order, sources, kept);
  });
}
