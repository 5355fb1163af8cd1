import type { KeyObject } from 'node:crypto';
import type { GlanceSettings } from '../../domain/configuration.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { ImageDescription } from '../../domain/image.ts';
import type { ImageSignature, SignatureHashMethod, SignatureKeyType } from '../../domain/image-signature.ts';
import type { SignatureCheck } from './signature-verifier.ts';
import { trustedCertificate } from './trusted-certificate.ts';

/** OpenSSL's names. */
const hashes = {
  'SHA-224': 'sha224',
  'SHA-256': 'sha256',
  'SHA-384': 'sha384',
  'SHA-512': 'sha512',
} as const satisfies Record<SignatureHashMethod, string>;

/** The key kinds of certificates, in OpenSSL's names. */
const keyKinds = {
  'RSA-PSS': ['rsa', 'rsa-pss'],
  DSA: ['dsa'],
  ECC_SECT571K1: ['sect571k1'],
  ECC_SECT409K1: ['sect409k1'],
  ECC_SECT571R1: ['sect571r1'],
  ECC_SECT409R1: ['sect409r1'],
  ECC_SECP521R1: ['secp521r1'],
  ECC_SECP384R1: ['secp384r1'],
} as const satisfies Record<SignatureKeyType, readonly string[]>;

/**
 * Throws ImageSignatureInvalid for an image of Glance that was described before the host began to verify signatures.
 */
export function throwIfUnsigned({ reference, title, signature }: ImageDescription, glance: GlanceSettings): void {
  if (!glance.verifyGlanceSignatures || !('glance' in reference) || signature !== undefined) return;
  throw new EverbootFailure(
    'ImageSignatureInvalid',
    `nobody asked for the signature of ${title} when it was looked up`,
    {
      remedy: 'Start the same request again: the host verifies signatures now.',
      // The plan, with the image as it was described, stands while the boot is parked.
      remedyWhenParked: 'Abandon the boot and start it again: the host verifies signatures now.',
    },
  );
}

/**
 * Prepares what an image's signature is verified with; null for an image that was described without one. What was
 * described with a signature is verified, whatever the setting has become since.
 *
 * Throws ImageSignatureInvalid when the certificate is not trusted or its key is not what the signature says.
 */
export async function signatureCheck(
  { signature }: Pick<ImageDescription, 'signature'>,
  { signatureCertificatesPath }: GlanceSettings,
): Promise<SignatureCheck | null> {
  if (signature === undefined) return null;
  if (signatureCertificatesPath === null) {
    throw new EverbootFailure('ImageSignatureInvalid', 'this host trusts no certificate', {
      remedy: 'Set [glance] signature_certificates_path on the host.',
    });
  }
  const { publicKey } = await trustedCertificate(signatureCertificatesPath, signature.certificateId);
  throwUnlessFitting(publicKey, signature);
  return {
    hash: hashes[signature.hashMethod],
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    isPss: signature.keyType === 'RSA-PSS',
    signature: Buffer.from(signature.signature, 'base64'),
  };
}

function throwUnlessFitting(key: KeyObject, { keyType, certificateId }: ImageSignature): void {
  const { asymmetricKeyType: kind = 'unknown', asymmetricKeyDetails: details } = key;
  const found = kind === 'ec' ? (details?.namedCurve ?? 'an unnamed curve') : kind;
  const wanted: readonly string[] = keyKinds[keyType];
  if (wanted.includes(found)) return;
  throw new EverbootFailure(
    'ImageSignatureInvalid',
    `the key of the certificate ${certificateId} (${found}) is none for the signature’s key type, ${keyType}`,
  );
}
