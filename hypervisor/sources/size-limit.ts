import type { GlanceSettings } from '../../domain/configuration.ts';
import { EverbootFailure } from '../../domain/failures.ts';

/** Throws ImageTooLarge for a size above `[glance] image_max_bytes`. An unknown size is looked at while it arrives. */
export function throwIfTooLarge(title: string, sizeBytes: number | null, { imageMaxBytes }: GlanceSettings): void {
  if (sizeBytes === null || sizeBytes <= imageMaxBytes) return;
  throw new EverbootFailure(
    'ImageTooLarge',
    `the image ${title} has ${sizeBytes} bytes, and this host takes ${imageMaxBytes} at most`,
  );
}
