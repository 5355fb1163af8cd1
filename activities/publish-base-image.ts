import { chmod, rename, stat } from 'node:fs/promises';
import { EverbootFailure } from '../domain/failures.ts';
import type { FetchOrder } from '../domain/host-activities.ts';
import type { BaseImage } from '../domain/image.ts';
import { findBase, readFacts } from '../hypervisor/image-cache/base-facts.ts';
import { recordBaseHash } from '../hypervisor/image-cache/care/scrub-cache.ts';
import { dropLease } from '../hypervisor/image-cache/fetch-lease.ts';
import { fetchFiles, underFetchLock } from '../hypervisor/image-cache/fetch-step.ts';
import { syncPath } from '../hypervisor/publish-file.ts';
import { removeFile } from '../hypervisor/small-file.ts';
import { cacheCareOf, type Host } from './host.ts';
import { withWorkControl } from './work-control.ts';

/** Gives the verified file its final name in the cache, from which on others see it, and clears what it came from. */
export async function publishBaseImage(host: Host, order: FetchOrder): Promise<BaseImage> {
  const { paths } = host;
  const { cacheName } = order.base;
  const { final, part, sidecar, converted } = fetchFiles(paths, cacheName);
  return await withWorkControl(async (control) => {
    const base = await underFetchLock(paths, order, control, async () => {
      const facts = await readFacts(paths, cacheName);
      if (facts === undefined) {
        throw new EverbootFailure('HostIoError', `${cacheName} was not verified, or what was known of it is gone`);
      }
      const source = facts.from === 'converted' ? converted : part;
      const { size } = await stat(source);
      if (size !== facts.fileSizeBytes) {
        throw new EverbootFailure('HostIoError', `${source} has ${size} bytes; ${facts.fileSizeBytes} were verified`);
      }
      await chmod(source, 0o644);
      await syncPath(source);
      await rename(source, final);
      await syncPath(paths.cache);
      const published = await findBase(paths, cacheName);
      if (published === undefined) throw new EverbootFailure('HostIoError', `${final} vanished as it was published`);
      return published;
    });
    for (const path of [converted, part, sidecar]) await removeFile(path);
    await dropLease(paths, cacheName, order.claim);
    recordHashSoon(host, cacheName);
    return base;
  });
}

const hashAfterMs = 1000;

/**
 * Has the new file's hash recorded while it is still in the page cache. No boot waits for it, and where the worker ends
 * first, the next scrub does it.
 */
function recordHashSoon(host: Host, cacheName: string): void {
  const control = { signal: AbortSignal.timeout(3_600_000), onProgress: () => undefined };
  setTimeout(() => {
    void recordBaseHash(cacheCareOf(host), cacheName, control).catch(() => undefined);
  }, hashAfterMs).unref();
}
