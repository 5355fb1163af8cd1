import { constants, createVerify } from 'node:crypto';

/** All that is needed to verify a signature, as plain data, so that it can be handed to a thread. */
export interface SignatureCheck {
  /** OpenSSL's name of the hash. */
  readonly hash: string;
  /** PEM. */
  readonly publicKey: string;
  /** The length of an RSA-PSS signature's salt in bytes; null for other keys. */
  readonly saltBytes: number | null;
  readonly signature: Uint8Array;
}

export interface SignatureVerifier {
  update(bytes: Uint8Array): void;
  /** Whether the signature is one of the bytes that were given, by the check's key. Once. */
  isValid(): boolean;
}

/** Verifies a signature over bytes that come piece by piece; holds none of them. */
export function signatureVerifier({ hash, publicKey, saltBytes, signature }: SignatureCheck): SignatureVerifier {
  const verify = createVerify(hash);
  const pss = saltBytes === null ? {} : { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: saltBytes };
  return {
    update: (bytes) => void verify.update(bytes),
    isValid() {
      try {
        return verify.verify({ key: publicKey, ...pss }, signature);
      } catch {
        // The key was read before. What OpenSSL throws here is about a signature that has not even the right shape.
        return false;
      }
    },
  };
}
