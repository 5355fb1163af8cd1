import type { FetchOrder } from '../domain/host-activities.ts';
import type { BaseImage } from '../domain/image.ts';
import { imageStore } from '../hypervisor/image-store/image-store.ts';
import { type Host, imageStoreOf } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';

/** Gives the verified file its final name in the store, from which on others see it. */
export async function publishBaseImage(host: Host, order: FetchOrder): Promise<BaseImage> {
  return await withWorkControl((control) => imageStore.ingest.commit(imageStoreOf(host), order, control));
}
