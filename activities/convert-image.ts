import type { FetchOrder } from '../domain/host-activities.ts';
import { imageStore } from '../hypervisor/image-store/image-store.ts';
import { type Host, imageStoreOf } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';

/** Converts the partial file to raw, beside it. */
export async function convertImage(host: Host, order: FetchOrder): Promise<void> {
  return await withWorkControl((control) => imageStore.ingest.convert(imageStoreOf(host), order, control));
}
