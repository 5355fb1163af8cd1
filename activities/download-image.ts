import { claimName } from '../domain/claim.ts';
import type { DownloadedBase, FetchOrder } from '../domain/host-activities.ts';
import { downloadImage as download } from '../hypervisor/download/download-image.ts';
import { verifiedSize } from '../hypervisor/download/part-state.ts';
import { removeFacts } from '../hypervisor/image-cache/base-facts.ts';
import { fetchFiles, underFetchLock } from '../hypervisor/image-cache/fetch-step.ts';
import { judgeHead } from '../hypervisor/image-inspector/judge-head.ts';
import { keepingReserve } from '../hypervisor/space-guard.ts';
import { promiseSpace, returnSpace } from '../hypervisor/space-ledger.ts';
import { type Host, imageSourcesOf } from './host.ts';
import { withWorkControl } from './work-control.ts';

/**
 * Fetches the image into the cache's partial file, going on from the bytes that are safely there, and hashes it on the
 * way. The head is judged as soon as it is there, so that a hostile image costs no more than its first MiB.
 */
export async function downloadImage(host: Host, order: FetchOrder): Promise<DownloadedBase> {
  const { paths, configuration } = host;
  const { claim, base } = order;
  const purpose = `download-${base.cacheName}`;
  const { part } = fetchFiles(paths, base.cacheName);
  const made = await withWorkControl((control) =>
    underFetchLock(paths, order, control, async (lock, reporting) => {
      const reservedBytes = configuration.host.reservedDiskMb * 2 ** 20;
      await promiseSpace(paths, { claim, purpose, path: part, bytes: base.image.sizeBytes ?? 0, reservedBytes });
      try {
        if ((await verifiedSize(part, base.image)) === undefined) {
          // What was known of the file that was here before says nothing of this one.
          await removeFacts(paths, base.cacheName);
        }
        return await keepingReserve(paths.cache, reservedBytes, reporting, (kept) =>
          download(
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
    }),
  );
  // Another build finished the image in between: there is nothing left to fetch.
  if ('cacheName' in made) return { sizeBytes: 0, resumedAtBytes: 0 };
  return made;
}
