import { stat } from 'node:fs/promises';
import type { FetchOrder } from '../domain/host-activities.ts';
import { removeFacts, writeFacts } from '../hypervisor/image-cache/base-facts.ts';
import { fetchFiles, underFetchLock } from '../hypervisor/image-cache/fetch-step.ts';
import { judgeImageFile } from '../hypervisor/image-cache/judge-image-file.ts';
import { syncPath } from '../hypervisor/publish-file.ts';
import { convertImage as convert } from '../hypervisor/qemu-img.ts';
import { keepingReserve } from '../hypervisor/space-guard.ts';
import { promiseSpace, returnSpace } from '../hypervisor/space-ledger.ts';
import { fetchPart } from './fetch-part.ts';
import type { Host } from './host.ts';
import { withWorkControl } from './work-control.ts';

/**
 * Converts the fetched file to raw, beside it, and looks at the result again. A conversion that was interrupted starts
 * over; the note that the file is whole is written only when it is on disk.
 */
export async function convertImage(host: Host, order: FetchOrder): Promise<void> {
  const { paths, configuration } = host;
  const { claim, base } = order;
  const { part, converted } = fetchFiles(paths, base.cacheName);
  const purpose = `convert-${base.cacheName}`;
  await withWorkControl((control) =>
    underFetchLock(paths, order, control, async (lock, reporting) => {
      const limits = { maxVirtualSizeBytes: configuration.glance.imageMaxBytes, heldLocks: [lock.descriptor] };
      await fetchPart(host, order, lock, reporting);
      const judged = await judgeImageFile(part, base.image, limits, reporting);
      await removeFacts(paths, base.cacheName);
      // At least what the image occupies now is written again; what compression hides shows only while it is written.
      const { blocks } = await stat(part);
      const reservedBytes = configuration.host.reservedDiskMb * 2 ** 20;
      const bytes = Math.min(blocks * 512, judged.virtualSizeBytes);
      await promiseSpace(paths, { claim, purpose, path: converted, bytes, reservedBytes });
      try {
        const conversion = {
          source: part,
          sourceFormat: judged.format,
          destination: converted,
          virtualSizeBytes: judged.virtualSizeBytes,
          heldLocks: [lock.descriptor],
        };
        await keepingReserve(paths.cache, reservedBytes, reporting, (kept) => convert(conversion, kept));
        await syncPath(converted);
      } finally {
        await returnSpace(paths, claim, purpose);
      }
      const { virtualSizeBytes } = judged;
      const { size: fileSizeBytes } = await stat(converted);
      await writeFacts(paths, base, { from: 'converted', format: 'raw', virtualSizeBytes, fileSizeBytes });
    }),
  );
}
