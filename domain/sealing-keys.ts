import { z } from 'zod';
import { EverbootFailure } from './failures.ts';

/** No key file is larger; room for more than a hundred keys. */
export const maxKeyFileBytes = 64 * 1024;

/** A coordinate or a scalar of P-256: 32 bytes in base64url. */
const p256Number = z.string().regex(/^[A-Za-z0-9_-]{43}$/);

const publicJwk = z.object({ kty: z.literal('EC'), crv: z.literal('P-256'), x: p256Number, y: p256Number });
const privateJwk = publicJwk.extend({ d: p256Number });

/** A key to seal with, as JWK (RFC 7517). */
export type PublicJwk = z.infer<typeof publicJwk>;
/** A key to open with. */
export type PrivateJwk = z.infer<typeof privateJwk>;

/**
 * The keys of a public key file, a JWK or a JWK Set, the oldest first. Throws ConfigInvalid, naming the file and never
 * quoting it. A private key in a file that everybody may read is refused as well.
 */
export function parsePublicKeys(text: string, path: string): readonly PublicJwk[] {
  const keys = keysOf(text);
  if (keys.some((key) => typeof key === 'object' && key !== null && 'd' in key)) {
    throw new EverbootFailure('ConfigInvalid', `${path} is to hold public keys, and holds a private one`);
  }
  return keys.map((key) => publicJwk.safeParse(key).data ?? fail(path, 'a public P-256 key'));
}

/** The keys of a private key file, like `parsePublicKeys`. */
export function parsePrivateKeys(text: string, path: string): readonly PrivateJwk[] {
  return keysOf(text).map((key) => privateJwk.safeParse(key).data ?? fail(path, 'a private P-256 key'));
}

/** Keys as they stand in the text; one that is no key at all where the text is neither a JWK nor a JWK Set. */
function keysOf(text: string): readonly unknown[] {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null || !('keys' in parsed)) return [parsed];
    return Array.isArray(parsed.keys) && parsed.keys.length > 0 ? parsed.keys : [undefined];
  } catch {
    // The parser's own words would quote the file.
    return [undefined];
  }
}

function fail(path: string, expected: string): never {
  throw new EverbootFailure('ConfigInvalid', `${path} must hold ${expected} as JWK, or a JWK Set of such keys`, {
    remedy: 'Make the key pair with `everboot keygen`, or restore the file.',
  });
}
