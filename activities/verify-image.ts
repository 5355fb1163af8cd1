import type { FetchOrder, VerifiedBase } from '../domain/host-activities.ts';
import { imageStore } from '../hypervisor/image-store/image-store.ts';
import { type Host, imageStoreOf } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';

/** Judges the partial file as a whole, and says whether it has to be converted. */
export async function verifyImage(host: Host, order: FetchOrder): Promise<VerifiedBase> {
  return await withWorkControl((control) => imageStore.ingest.verify(imageStoreOf(host), order, control));
}
