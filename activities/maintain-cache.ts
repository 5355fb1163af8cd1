import type { CacheListing, ScrubReport, SweepReport } from '../domain/cache.ts';
import { EverbootFailure } from '../domain/failures.ts';
import type { PinOrder, PinReport, ScrubOrder, SweepOrder } from '../domain/host-activities.ts';
import type { BaseImageOrder, ImageReference } from '../domain/image.ts';
import { parseImageReference } from '../domain/parse-spec.ts';
import { prepareFolders } from '../hypervisor/host/prepare-host.ts';
import { imageStore } from '../hypervisor/image-store/image-store.ts';
import { describeImage } from '../hypervisor/sources/describe-image.ts';
import { type Host, imageSourcesOf, imageStoreOf } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';

/** Lists what is in the cache, and what needs it. */
export async function listCachedFiles(host: Host): Promise<CacheListing> {
  await prepareFolders(host.paths);
  return await withWorkControl(() => imageStore.list(imageStoreOf(host)));
}

/** Removes what is old, over the budget or orphaned, and used by nothing. */
export async function sweepCachedFiles(host: Host, order: SweepOrder): Promise<SweepReport> {
  await prepareFolders(host.paths);
  return await withWorkControl((control) => imageStore.sweep(imageStoreOf(host), order, control));
}

/** Compares cached files with their recorded hashes, and quarantines what is damaged. */
export async function scrubCachedFiles(host: Host, order: ScrubOrder): Promise<ScrubReport> {
  await prepareFolders(host.paths);
  return await withWorkControl((control) => imageStore.scrub(imageStoreOf(host), order, control));
}

/** Keeps a cached file from every sweep, or lets it go again. */
export async function pinCachedFile({ paths }: Host, { name, pinned }: PinOrder): Promise<PinReport> {
  await prepareFolders(paths);
  return { changed: await imageStore.pin(paths, name, pinned) };
}

/** Looks an image up at its source, as a boot from it would. Throws what the sources say of the image. */
export async function planFetch(host: Host, order: { readonly image: ImageReference }): Promise<BaseImageOrder> {
  // Checked again here, because anyone who may start workflows can hand one in.
  const reference = parseImageReference(order.image);
  const image = await withWorkControl(({ signal }) => describeImage(reference, imageSourcesOf(host), signal));
  if (['aki', 'ari'].includes(image.format)) {
    throw new EverbootFailure('ImageUnacceptable', `${image.title} is a kernel or a ramdisk, which no disk is made of`);
  }
  const { forceRawImages } = host.configuration.libvirt;
  return { role: 'root', cacheName: imageStore.names.ofImage(image, 'root'), image, forceRaw: forceRawImages };
}
