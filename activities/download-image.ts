import type { DownloadedBase, FetchOrder } from '../domain/host-activities.ts';
import { imageStore } from '../hypervisor/image-store/image-store.ts';
import { type Host, imageStoreOf } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';

/** Brings the image into the store's partial file, continuing from the bytes that are there. */
export async function downloadImage(host: Host, order: FetchOrder): Promise<DownloadedBase> {
  return await withWorkControl((control) => imageStore.ingest.download(imageStoreOf(host), order, control));
}
