import { EverbootFailure } from '../../domain/failures.ts';
import { type ImageSignature, signatureHashMethods, signatureKeyTypes } from '../../domain/image-signature.ts';

/** Base64 of the largest RSA signature that OpenSSL knows has 2,732 characters. */
const maxSignatureLength = 4096;

/** The form of Barbican's ids. No character of it can leave a path. */
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * How an image is signed, from its record in Glance; `title` is what messages call the image. Throws
 * ImageSignatureInvalid with every property that is missing or cannot be used.
 */
export function imageSignature(title: string, record: Readonly<Record<string, unknown>>): ImageSignature {
  const problems: string[] = [];
  function property<Value>(name: string, parse: (text: string) => Value | undefined, expected: string) {
    const text = Object.hasOwn(record, name) ? record[name] : undefined;
    const value = typeof text === 'string' ? parse(text) : undefined;
    if (value === undefined) problems.push(`${name} is ${shown(text)}, expected ${expected}`);
    return value;
  }
  const signature = property('img_signature', base64, 'base64');
  const hashMethod = property(
    'img_signature_hash_method',
    oneOf(signatureHashMethods),
    signatureHashMethods.join(', '),
  );
  const keyType = property('img_signature_key_type', oneOf(signatureKeyTypes), signatureKeyTypes.join(', '));
  const certificateId = property('img_signature_certificate_uuid', certificateUuid, 'the UUID of a certificate');
  if (signature !== undefined && hashMethod !== undefined && keyType !== undefined && certificateId !== undefined) {
    return { signature, hashMethod, keyType, certificateId };
  }
  throw new EverbootFailure('ImageSignatureInvalid', `${title} is not signed as it must be: ${problems.join('; ')}`);
}

/** Without its white space, for which a signature that was wrapped into lines is no less one. */
function base64(text: string): string | undefined {
  if (text.length > maxSignatureLength) return undefined;
  const plain = text.replace(/\s/g, '');
  return /^[A-Za-z0-9+/]+={0,2}$/.test(plain) && plain.length % 4 === 0 ? plain : undefined;
}

function oneOf<const Value extends string>(values: readonly Value[]): (text: string) => Value | undefined {
  return (text) => values.find((value) => value === text);
}

function certificateUuid(text: string): string | undefined {
  return uuid.test(text) ? text.toLowerCase() : undefined;
}

/** A value of the tenant's, short and in quotes. */
function shown(value: unknown): string {
  if (value === undefined || value === null) return 'missing';
  if (typeof value !== 'string') return `a ${typeof value}`;
  return value.length <= 60 ? JSON.stringify(value) : `${value.length} characters long`;
}
