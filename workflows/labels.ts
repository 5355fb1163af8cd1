import type { BaseImageOrder } from '../domain/image.ts';
import { sizeText } from '../domain/sizes.ts';

/** "debian-12 (qcow2, 412 MiB)": what a summary says of an image. */
export function imageLabel({ image }: BaseImageOrder): string {
  const size = image.sizeBytes === null ? 'size not known yet' : sizeText(image.sizeBytes);
  return `${image.title.slice(0, 60)} (${image.format}, ${size})`;
}
