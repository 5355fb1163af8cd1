import { stat } from 'node:fs/promises';
import type { FetchOrder } from '../../../domain/host-activities.ts';
import type { WorkControl } from '../../../domain/step-progress.ts';
import { syncPath } from '../../files/publish-file.ts';
import { convertImage } from '../../programs/qemu-img.ts';
import { removeFacts, writeFacts } from '../base-facts.ts';
import { baseFiles } from '../base-files.ts';
import type { StoreIngest } from '../store-settings.ts';
import { fetchPart } from './download.ts';
import { underFetchLock } from './ingest-step.ts';
import { judgeImageFile } from './judge-image-file.ts';
import { inPromisedSpace } from './promised-space.ts';

/**
 * Converts the part to raw, beside it. A conversion that was interrupted starts over; the facts say that the file may
 * be committed only when it is on disk.
 */
export async function convertBase(store: StoreIngest, order: FetchOrder, control: WorkControl): Promise<void> {
  const { paths, sources } = store;
  const { claim, base } = order;
  const { part, converted } = baseFiles(paths, base.cacheName);
  await underFetchLock(paths, order, control, async (lock, reporting) => {
    const heldLocks = [lock.descriptor];
    await fetchPart(store, order, lock, reporting);
    const limits = { maxVirtualSizeBytes: sources.glance.imageMaxBytes, heldLocks };
    const { format: sourceFormat, virtualSizeBytes } = await judgeImageFile(part, base.image, limits, reporting);
    await removeFacts(paths, base.cacheName);
    // At least what the image occupies now is written again; what compression hides shows only while it is written.
    const bytes = Math.min((await stat(part)).blocks * 512, virtualSizeBytes);
    const file = { claim, purpose: `convert-${base.cacheName}`, path: converted, bytes };
    await inPromisedSpace(store, file, reporting, async (kept) => {
      await convertImage({ source: part, sourceFormat, destination: converted, virtualSizeBytes, heldLocks }, kept);
      await syncPath(converted);
    });
    const { size: fileSizeBytes } = await stat(converted);
    await writeFacts(paths, base, { from: 'converted', format: 'raw', virtualSizeBytes, fileSizeBytes });
  });
}
