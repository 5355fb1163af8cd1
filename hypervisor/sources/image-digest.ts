import type { GlanceSettings } from '../../domain/configuration.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { ImageDigest } from '../../domain/image.ts';

/** How many hex digits each algorithm gives. */
const hexLength = { sha256: 64, sha512: 128, sha384: 96, sha1: 40, md5: 32 } as const satisfies Record<
  ImageDigest['algorithm'],
  number
>;

/** A digest, if algorithm and value are ones that we can verify. */
export function imageDigest(algorithm: unknown, value: unknown): ImageDigest | null {
  if (typeof algorithm !== 'string' || typeof value !== 'string' || !Object.hasOwn(hexLength, algorithm)) return null;
  const known = algorithm as ImageDigest['algorithm'];
  const hex = value.toLowerCase();
  return hex.length === hexLength[known] && /^[0-9a-f]+$/.test(hex) ? { algorithm: known, hex } : null;
}

/** The digest that a spec gives, `sha256:<hex>` or `sha512:<hex>`. Throws SpecInvalid. */
export function specDigest(text: string): ImageDigest {
  const [algorithm, value] = text.split(':');
  const digest = algorithm === 'sha256' || algorithm === 'sha512' ? imageDigest(algorithm, value) : null;
  if (digest === null) {
    throw new EverbootFailure('SpecInvalid', 'an image’s digest is neither sha256:<64 hex> nor sha512:<128 hex>');
  }
  return digest;
}

/** As `specDigest`; null where the spec gives none and the host accepts that. Throws SpecInvalid, ImageUnverifiable. */
export function digestOfSpec(
  { digest, title }: { readonly digest: string | undefined; readonly title: string },
  { allowUnverified }: GlanceSettings,
): ImageDigest | null {
  if (digest !== undefined) return specDigest(digest);
  if (allowUnverified) return null;
  throw new EverbootFailure('ImageUnverifiable', `the spec gives no digest of ${title}`, {
    remedy: 'Give the image’s digest, sha256:<hex> or sha512:<hex>, or set [glance] allow_unverified on the host.',
  });
}
