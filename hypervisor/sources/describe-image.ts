import type { ImageDescription, ImageReference } from '../../domain/image.ts';
import type { RateLimit } from '../http/rate-limit.ts';
import { describeFileImage } from './file-image.ts';
import { describeGlanceImage } from './glance-image.ts';
import type { GlanceAccess } from './glance-request.ts';
import { describeUrlImage } from './url-image.ts';

/** The host's settings for image sources. */
export interface ImageSourceSettings extends GlanceAccess {
  /** The folders that a `{file}` may be in. */
  readonly fileImageRoots: readonly string[];
  /** Shared by all fetches of the worker; absent: unlimited. */
  readonly rateLimit?: RateLimit;
}

/**
 * Asks an image's source what there is to know before a byte of it is read. Reads no image data.
 *
 * Throws what the sources throw: the reference is malformed, the image is absent, forbidden, inactive, of an unknown
 * format, too large or without a digest; GlanceUnavailable and SourceUnreachable where another try may help.
 */
export async function describeImage(
  reference: ImageReference,
  settings: ImageSourceSettings,
  signal: AbortSignal,
): Promise<ImageDescription> {
  const { glance, fileImageRoots } = settings;
  if ('glance' in reference) return await describeGlanceImage(reference, settings, signal);
  if ('url' in reference) return await describeUrlImage(reference, glance, signal);
  return await describeFileImage(reference, fileImageRoots, glance);
}
