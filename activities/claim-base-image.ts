import type { BaseImageClaim, FetchOrder } from '../domain/host-activities.ts';
import { prepareFolders } from '../hypervisor/host/prepare-host.ts';
import { imageStore } from '../hypervisor/image-store/image-store.ts';
import { throwIfUnsigned } from '../hypervisor/signatures/signature-check.ts';
import type { Host } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';
import { fenceRun } from './fencing/fence-run.ts';

/**
 * Claims an image in the cache, and says whether it is there or this build's to fetch. Throws OperationSuperseded,
 * without leaving a claim, where the run that asks has ended or continued under another claim: its undo, which takes
 * claims away, may be over.
 */
export async function claimBaseImage({ paths, configuration }: Host, order: FetchOrder): Promise<BaseImageClaim> {
  throwIfUnsigned(order.base.image, configuration.glance);
  await prepareFolders(paths);
  return await withWorkControl((control) => imageStore.claim(paths, order, control, () => fenceRun(order.claim)));
}
