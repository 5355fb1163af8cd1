import { stat } from 'node:fs/promises';
import type { FetchOrder, VerifiedBase } from '../domain/host-activities.ts';
import { writeFacts } from '../hypervisor/image-cache/base-facts.ts';
import { fetchFiles, underFetchLock } from '../hypervisor/image-cache/fetch-step.ts';
import { judgeImageFile } from '../hypervisor/image-cache/judge-image-file.ts';
import { syncPath } from '../hypervisor/publish-file.ts';
import { fetchPart } from './fetch-part.ts';
import type { Host } from './host.ts';
import { withWorkControl } from './work-control.ts';

/**
 * Judges the whole file that was fetched: by our own inspector and by qemu-img, which must agree. Says whether it has to
 * be converted; if not, notes that the file is ready to be published. A kernel or a ramdisk is no disk, and is only kept.
 */
export async function verifyImage(host: Host, order: FetchOrder): Promise<VerifiedBase> {
  const { paths, configuration } = host;
  const { base } = order;
  const { part } = fetchFiles(paths, base.cacheName);
  const verified = await withWorkControl((control) =>
    underFetchLock(paths, order, control, async (lock, reporting) => {
      await fetchPart(host, order, lock, reporting);
      const maxVirtualSizeBytes = configuration.glance.imageMaxBytes;
      const judged =
        base.role === 'root'
          ? await judgeImageFile(part, base.image, { maxVirtualSizeBytes, heldLocks: [lock.descriptor] }, reporting)
          : { format: 'raw' as const, virtualSizeBytes: (await stat(part)).size };
      const convert = judged.format !== 'raw' && (base.forceRaw || judged.format !== 'qcow2');
      if (!convert) {
        const format = judged.format === 'qcow2' ? 'qcow2' : 'raw';
        // What the note says must be true after a crash of the machine as well.
        await syncPath(part);
        const { size: fileSizeBytes } = await stat(part);
        await writeFacts(paths, base, {
          from: 'part',
          format,
          virtualSizeBytes: judged.virtualSizeBytes,
          fileSizeBytes,
        });
      }
      return { virtualSizeBytes: judged.virtualSizeBytes, convert };
    }),
  );
  if ('cacheName' in verified) return { virtualSizeBytes: verified.virtualSizeBytes, convert: false };
  return verified;
}
