import { claimName } from '../domain/claim.ts';
import type { FetchOrder } from '../domain/host-activities.ts';
import type { WorkControl } from '../domain/step-progress.ts';
import { type Downloaded, downloadImage } from '../hypervisor/download/download-image.ts';
import { verifiedSize } from '../hypervisor/download/part-state.ts';
import { removeFacts } from '../hypervisor/image-cache/base-facts.ts';
import { fetchFiles } from '../hypervisor/image-cache/fetch-step.ts';
import { judgeHead } from '../hypervisor/image-inspector/judge-head.ts';
import type { WorkLock } from '../hypervisor/locks/with-lock.ts';
import { keepingReserve } from '../hypervisor/space-guard.ts';
import { promiseSpace, returnSpace } from '../hypervisor/space-ledger.ts';
import { type Host, imageSourcesOf } from './host.ts';

/**
 * Fetches what is missing of the image in the cache's partial file, if anything is. Every step that reads the partial file
 * begins with it: the bytes are not synced when they are fetched, so a crash of the machine may take some of them long
 * after the download was done, and leaves zeros in their place.
 */
export async function fetchPart(
  host: Host,
  { claim, base }: FetchOrder,
  lock: WorkLock,
  control: WorkControl,
): Promise<Downloaded> {
  const { paths, configuration } = host;
  const { part } = fetchFiles(paths, base.cacheName);
  const purpose = `download-${base.cacheName}`;
  const sizeBytes = await verifiedSize(part, base.image);
  if (sizeBytes !== undefined) {
    // An attempt that was killed at its very end has not given its promise back.
    await returnSpace(paths, claim, purpose);
    return { sizeBytes, resumedAtBytes: sizeBytes };
  }
  const reservedBytes = configuration.host.reservedDiskMb * 2 ** 20;
  await promiseSpace(paths, { claim, purpose, path: part, bytes: base.image.sizeBytes ?? 0, reservedBytes });
  try {
    // What was known of the file that was here before says nothing of this one.
    await removeFacts(paths, base.cacheName);
    return await keepingReserve(paths.cache, reservedBytes, control, (kept) =>
      downloadImage(
        {
          ...{ image: base.image, partPath: part, heldLocks: [lock.descriptor] },
          ...{ timeMs: configuration.glance.imageFetchTimeout * 1000, fetcher: claimName(claim) },
          ...(base.role === 'root' ? { judgeHead } : {}),
        },
        imageSourcesOf(host),
        kept,
      ),
    );
  } finally {
    await returnSpace(paths, claim, purpose);
  }
}
