import type { FetchOrder } from '../domain/host-activities.ts';
import type { BaseImage, BaseImageOrder } from '../domain/image.ts';
import { sizeText } from '../domain/sizes.ts';
import type { HostSteps } from './host-steps.ts';

/**
 * Has an image in the host's cache, fetching it where it is missing. The claim answers with the cached file, or that it
 * is this build's to fetch; while another build fetches it, the claim waits. The history has everything, because each
 * build that fetches does so in its own workflow. A step finds the work done where an earlier fetcher went further.
 * `refuse` throws when the image, whose virtual size is known only now, is not for this build.
 */
export async function haveBaseImage(
  host: HostSteps,
  order: FetchOrder,
  refuse: (virtualSizeBytes: number) => void,
): Promise<BaseImage> {
  const { role } = order.base;
  const label = imageLabel(order.base);
  const { base } = await host.claimBaseImage(`${role} image: look for ${label} in the cache`, order, role);
  if (base !== null) return base;

  await host.downloadImage(`${role} image: fetch ${label}`, order, role);
  const { convert, virtualSizeBytes } = await host.verifyImage(`${role} image: inspect ${label}`, order, role);
  // An image that is too large is not unpacked first.
  refuse(virtualSizeBytes);
  if (convert)
    await host.convertImage(`${role} image: convert ${label} from ${order.base.image.format} to raw`, order, role);
  return await host.publishBaseImage(
    `${role} image: publish as _base/${order.base.cacheName.slice(0, 12)}…`,
    order,
    role,
  );
}

/** "debian-12 (qcow2, 412 MiB)": what a summary says of an image. */
export function imageLabel({ image }: BaseImageOrder): string {
  const size = image.sizeBytes === null ? 'size not known yet' : sizeText(image.sizeBytes);
  return `${image.title.slice(0, 60)} (${image.format}, ${size})`;
}
