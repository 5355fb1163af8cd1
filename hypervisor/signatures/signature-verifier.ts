import { constants, createVerify } from 'node:crypto';

/** All that is needed to verify a signature, as plain data, so that it can be handed to a thread. */
export interface SignatureCheck {
  /** OpenSSL's name of the hash. */
  readonly hash: string;
  /** PEM. */
  readonly publicKey: string;
  /** True: an RSA-PSS signature, with MGF1 of the same hash. */
  readonly isPss: boolean;
  readonly signature: Uint8Array;
}

export interface SignatureVerifier {
  update(bytes: Uint8Array): void;
  /** Whether the signature is one of the bytes that were given, by the check's key. Once. */
  isValid(): boolean;
}

/** Any length of the salt is accepted, as cursive does; it says nothing of the signature's worth. */
const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO };

/** Verifies a signature over bytes that come piece by piece; holds none of them. */
export function signatureVerifier({ hash, publicKey, isPss, signature }: SignatureCheck): SignatureVerifier {
  const verify = createVerify(hash);
  return {
    update: (bytes) => void verify.update(bytes),
    isValid() {
      try {
        return verify.verify({ key: publicKey, ...(isPss && pss) }, signature);
      } catch {
        // The key was read before. What OpenSSL throws here is about a signature that has not even the right shape.
        return false;
      }
    },
  };
}
