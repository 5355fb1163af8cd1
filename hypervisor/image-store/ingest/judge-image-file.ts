import { EverbootFailure } from '../../../domain/failures.ts';
import type { ImageDescription } from '../../../domain/image.ts';
import type { WorkControl } from '../../../domain/step-progress.ts';
import { inspectImageFile } from '../../image-inspector/inspect-image-file.ts';
import { imageInfo } from '../../programs/qemu-img.ts';

/** Formats whose bytes are the disk's bytes, whatever name the image was given. */
const rawFormats = new Set(['raw', 'gpt', 'mbr', 'iso', 'ami', 'aki', 'ari']);

export interface JudgedImage {
  readonly format: string;
  readonly virtualSizeBytes: number;
}

/**
 * Judges a whole image file before anything is built on it: first by our own inspector, which never runs a program on a
 * hostile header; then by qemu-img with that format given and nothing else in reach. The two must agree.
 *
 * Throws ImageUnacceptable or ImageTooLarge, with every reason.
 */
export async function judgeImageFile(
  path: string,
  image: ImageDescription,
  limits: { readonly maxVirtualSizeBytes: number; readonly heldLocks: readonly number[] },
  control: WorkControl,
): Promise<JudgedImage> {
  const inspection = await inspectImageFile(path, image.format, limits);
  if (inspection.verdict === 'refused') {
    throw new EverbootFailure(
      inspection.code ?? 'ImageUnacceptable',
      `${image.title} is refused: ${inspection.reasons.join('; ')}`,
    );
  }
  const detected = inspection.detectedFormat ?? 'raw';
  const format = rawFormats.has(detected) ? 'raw' : detected;
  const info = await imageInfo(path, format, { heldLocks: limits.heldLocks, untrusted: true }, control);
  const disagreement =
    info.virtualSizeBytes === inspection.virtualSizeBytes
      ? undefined
      : `qemu-img sees ${info.virtualSizeBytes} bytes, its header says ${inspection.virtualSizeBytes}`;
  const reference =
    info.backingFile !== undefined || info.dataFile !== undefined ? 'it refers to another file' : undefined;
  const reason = disagreement ?? reference;
  if (reason !== undefined) throw new EverbootFailure('ImageUnacceptable', `${image.title} is refused: ${reason}`);
  return { format, virtualSizeBytes: info.virtualSizeBytes };
}
