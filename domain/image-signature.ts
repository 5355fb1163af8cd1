/** The hash methods of cursive, the library that signs and verifies for Glance and Nova. */
export const signatureHashMethods = ['SHA-224', 'SHA-256', 'SHA-384', 'SHA-512'] as const;
export type SignatureHashMethod = (typeof signatureHashMethods)[number];

/** The key types of cursive. */
export const signatureKeyTypes = [
  'RSA-PSS',
  'DSA',
  'ECC_SECT571K1',
  'ECC_SECT409K1',
  'ECC_SECT571R1',
  'ECC_SECT409R1',
  'ECC_SECP521R1',
  'ECC_SECP384R1',
] as const;
export type SignatureKeyType = (typeof signatureKeyTypes)[number];

/** How an image is signed, as its properties say. Nothing in it is secret. */
export interface ImageSignature {
  /** Base64 without white space. */
  readonly signature: string;
  readonly hashMethod: SignatureHashMethod;
  readonly keyType: SignatureKeyType;
  /** A UUID in lower case; the certificate is in the host's own folder. */
  readonly certificateId: string;
}
