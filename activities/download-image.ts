import type { DownloadedBase, FetchOrder } from '../domain/host-activities.ts';
import { underFetchLock } from '../hypervisor/image-cache/fetch-step.ts';
import { fetchPart } from './fetch-part.ts';
import type { Host } from './host.ts';
import { withWorkControl } from './work-control.ts';

/**
 * Fetches the image into the cache's partial file, going on from the bytes that are safely there, and hashes it on the
 * way. The head is judged as soon as it is there, so that a hostile image costs no more than its first MiB.
 */
export async function downloadImage(host: Host, order: FetchOrder): Promise<DownloadedBase> {
  const made = await withWorkControl((control) =>
    underFetchLock(host.paths, order, control, (lock, reporting) => fetchPart(host, order, lock, reporting)),
  );
  // Another build finished the image in between: there is nothing left to fetch.
  if ('cacheName' in made) return { sizeBytes: 0, resumedAtBytes: 0 };
  return made;
}
