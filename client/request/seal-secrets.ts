import { open } from 'node:fs/promises';
import { CompactEncrypt, calculateJwkThumbprint, importJWK } from 'jose';
import { EverbootFailure } from '../../domain/failures.ts';
import {
  maxSealedLength,
  type SealedPayload,
  type SecretField,
  sealingAlgorithms,
  secretFields,
} from '../../domain/sealing.ts';
import { maxKeyFileBytes, type PublicJwk, parsePublicKeys } from '../../domain/sealing-keys.ts';
import type { InstanceSecrets, Sealed, SealedSecrets } from '../../domain/spec.ts';

/**
 * Seals each secret of a spec by itself, for the hosts that have the private key and for this instance only. Without
 * secrets no key is needed and none is read.
 *
 * Throws SecretKeyMissing, ConfigInvalid (the file is no public key), SpecInvalid (a value too large).
 */
export async function sealSecrets(
  secrets: InstanceSecrets,
  publicKeyFile: string | null,
  instanceId: string,
): Promise<SealedSecrets> {
  const present = secretFields.filter((field) => secrets[field] !== undefined);
  if (present.length === 0) return {};
  const key = await readPublicKey(publicKeyFile);
  const sealed = await Promise.all(
    present.map(async (field) => [field, await seal({ instanceId, field, value: secrets[field] }, key)] as const),
  );
  return Object.fromEntries<Sealed>(sealed) satisfies { [Field in SecretField]?: Sealed };
}

/**
 * The key that seals: the newest, which is the last, of a public key file. Throws SecretKeyMissing and ConfigInvalid.
 */
export async function readPublicKey(path: string | null): Promise<PublicJwk> {
  if (path === null) {
    throw new EverbootFailure('SecretKeyMissing', 'the spec has secrets, and [secrets] public_key_file is not set');
  }
  const newest = parsePublicKeys(await readKeyFile(path), path).at(-1);
  if (newest === undefined) throw new EverbootFailure('SecretKeyMissing', `${path} holds no key`);
  return newest;
}

async function readKeyFile(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(maxKeyFileBytes), 0);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code;
    throw new EverbootFailure('SecretKeyMissing', `the public key ${path} cannot be read (${reason})`);
  }
}

async function seal(payload: SealedPayload, key: PublicJwk): Promise<Sealed> {
  const header = { ...sealingAlgorithms, kid: await calculateJwkThumbprint(key) };
  const recipient = await importJWK(key, sealingAlgorithms.alg);
  const sealed = await new CompactEncrypt(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader(header)
    .encrypt(recipient);
  if (sealed.length > maxSealedLength) {
    throw new EverbootFailure(
      'SpecInvalid',
      `${payload.field} is ${sealed.length} characters long when sealed; ${maxSealedLength} is the limit`,
    );
  }
  return { sealed };
}
