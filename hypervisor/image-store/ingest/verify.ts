import { stat } from 'node:fs/promises';
import type { FetchOrder, VerifiedBase } from '../../../domain/host-activities.ts';
import type { WorkControl } from '../../../domain/step-progress.ts';
import { syncPath } from '../../files/publish-file.ts';
import { writeFacts } from '../base-facts.ts';
import { baseFiles } from '../base-files.ts';
import type { StoreIngest } from '../store-settings.ts';
import { fetchPart } from './download.ts';
import { underFetchLock } from './ingest-step.ts';
import { type JudgedImage, judgeImageFile } from './judge-image-file.ts';

/**
 * Judges the whole part: by our own inspector and by qemu-img, which must agree. Says whether it has to be converted;
 * if not, its facts say that it may be committed. A kernel or a ramdisk is no disk, and is only kept.
 */
export async function verifyBase(store: StoreIngest, order: FetchOrder, control: WorkControl): Promise<VerifiedBase> {
  const { paths, sources } = store;
  const { base } = order;
  const { part } = baseFiles(paths, base.cacheName);
  const verified = await underFetchLock(paths, order, control, async ({ descriptor }, reporting) => {
    await fetchPart(store, order, { descriptor }, reporting);
    const limits = { maxVirtualSizeBytes: sources.glance.imageMaxBytes, heldLocks: [descriptor] };
    const judged: JudgedImage =
      base.role === 'root'
        ? await judgeImageFile(part, base.image, limits, reporting)
        : { format: 'raw', virtualSizeBytes: (await stat(part)).size };
    const { virtualSizeBytes } = judged;
    const convert = judged.format !== 'raw' && (base.forceRaw || judged.format !== 'qcow2');
    if (!convert) {
      const format = judged.format === 'qcow2' ? 'qcow2' : 'raw';
      // What the facts say must be true after a crash of the machine as well.
      await syncPath(part);
      const { size: fileSizeBytes } = await stat(part);
      await writeFacts(paths, base, { from: 'part', format, virtualSizeBytes, fileSizeBytes });
    }
    return { virtualSizeBytes, convert };
  });
  return 'cacheName' in verified ? { virtualSizeBytes: verified.virtualSizeBytes, convert: false } : verified;
}
