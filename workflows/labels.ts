import type { BaseImageOrder } from '../domain/image.ts';

/** A size as people read it. */
export function sizeLabel(bytes: number | null): string {
  if (bytes === null) return 'size not known yet';
  const gib = bytes / 2 ** 30;
  if (gib >= 1) return `${trim(gib)} GiB`;
  const mib = bytes / 2 ** 20;
  return mib >= 1 ? `${trim(mib)} MiB` : `${Math.ceil(bytes / 1024)} KiB`;
}

function trim(count: number): string {
  return count.toFixed(1).replace(/\.0$/, '');
}

/** "debian-12 (qcow2, 412 MiB)": what a summary says of an image. */
export function imageLabel({ image }: BaseImageOrder): string {
  return `${image.title.slice(0, 60)} (${image.format}, ${sizeLabel(image.sizeBytes)})`;
}
