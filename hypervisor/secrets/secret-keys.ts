import { type FileHandle, open } from 'node:fs/promises';
import { calculateJwkThumbprint, compactDecrypt, decodeProtectedHeader, importJWK, type JWK } from 'jose';
import { EverbootFailure } from '../../domain/failures.ts';
import {
  isSecretValue,
  maxSealedLength,
  type SealedPayload,
  type SecretField,
  sealingAlgorithms,
  secretFields,
} from '../../domain/sealing.ts';
import { maxKeyFileBytes, parsePrivateKeys } from '../../domain/sealing-keys.ts';
import type { InstanceSecrets, SealedSecrets } from '../../domain/spec.ts';

/** A private key of this host. Several are there while keys are changed: the old one opens what it sealed before. */
export interface PrivateKey {
  /** Its RFC 7638 thumbprint, by which a sealed value names it. */
  readonly kid: string;
  readonly key: Awaited<ReturnType<typeof importJWK>>;
}

/**
 * Reads the host's private keys; none where no file is configured. Throws ConfigInvalid where the file is absent, may
 * be read by others than its owner, or holds no such keys.
 */
export async function readPrivateKeys(path: string | null): Promise<readonly PrivateKey[]> {
  if (path === null) return [];
  const jwks = parsePrivateKeys(await readPrivateFile(path), path);
  return await Promise.all(jwks.map((jwk) => privateKey(jwk, path)));
}

/**
 * Opens the sealed values of one instance's spec. Throws SecretUnreadable for every value that is not exactly what a
 * client seals for this instance, this field and one of these keys; its message never holds what was opened.
 */
export async function openSecrets(
  sealed: SealedSecrets,
  instanceId: string,
  keys: readonly PrivateKey[],
): Promise<InstanceSecrets> {
  const opened: [SecretField, unknown][] = [];
  for (const field of secretFields) {
    const value = sealed[field];
    if (value !== undefined) opened.push([field, await openField(value.sealed, { instanceId, field }, keys)]);
  }
  return Object.fromEntries(opened) as InstanceSecrets;
}

async function readPrivateFile(path: string): Promise<string> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code;
    throw new EverbootFailure('ConfigInvalid', `[secrets] private_key_file ${path} cannot be read (${reason})`);
  }
  try {
    const { mode, size } = await file.stat();
    if ((mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, '0');
      throw new EverbootFailure(
        'ConfigInvalid',
        `[secrets] private_key_file ${path} has mode ${octal}; only its owner may have access to it (0600)`,
        { remedy: `chmod 600 ${path}; if others may have read it, make a new key pair.` },
      );
    }
    if (size > maxKeyFileBytes) {
      throw new EverbootFailure('ConfigInvalid', `[secrets] private_key_file ${path} is larger than a key file can be`);
    }
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

async function privateKey(jwk: JWK, path: string): Promise<PrivateKey> {
  try {
    return { kid: await calculateJwkThumbprint(jwk), key: await importJWK(jwk, sealingAlgorithms.alg) };
  } catch {
    throw new EverbootFailure('ConfigInvalid', `[secrets] private_key_file ${path} holds a key that is not on P-256`);
  }
}

type Binding = Pick<SealedPayload, 'instanceId' | 'field'>;

async function openField(sealed: string, binding: Binding, keys: readonly PrivateKey[]): Promise<unknown> {
  if (sealed.length > maxSealedLength) throw unreadable(binding, `is longer than ${maxSealedLength} characters`);
  const { key } = keyFor(sealed, binding, keys);
  const payload = await decrypt(sealed, key);
  if (payload === undefined) throw unreadable(binding, 'was damaged or sealed in another way than everboot seals');
  if (payload.instanceId !== binding.instanceId) throw unreadable(binding, 'was sealed for another instance');
  if (payload.field !== binding.field) throw unreadable(binding, 'was sealed for another field');
  if (!isSecretValue(binding.field, payload.value))
    throw unreadable(binding, 'opens, but to no value that it may have');
  return payload.value;
}

function keyFor(sealed: string, binding: Binding, keys: readonly PrivateKey[]): PrivateKey {
  if (keys.length === 0) {
    throw unreadable(binding, 'cannot be opened, because [secrets] private_key_file is not set on this host');
  }
  const kid = kidOf(sealed);
  if (kid === undefined) throw unreadable(binding, 'is not a JWE that names its key');
  const key = keys.find((candidate) => candidate.kid === kid);
  if (key !== undefined) return key;
  const known = keys.map((candidate) => candidate.kid).join(', ');
  throw unreadable(binding, `was sealed for the key ${kid}, and this host has ${known}`);
}

/** The thumbprint that a JWE's header names. It goes into messages, so nothing but a thumbprint passes. */
function kidOf(sealed: string): string | undefined {
  try {
    const { kid } = decodeProtectedHeader(sealed);
    return typeof kid === 'string' && /^[A-Za-z0-9_-]{43}$/.test(kid) ? kid : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined for whatever goes wrong: the words of a parser or of a cipher could quote what they were given. */
async function decrypt(sealed: string, key: PrivateKey['key']): Promise<Partial<SealedPayload> | undefined> {
  try {
    const { plaintext } = await compactDecrypt(sealed, key, {
      keyManagementAlgorithms: [sealingAlgorithms.alg],
      contentEncryptionAlgorithms: [sealingAlgorithms.enc],
      maxDecompressedLength: 0,
    });
    const payload: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plaintext));
    return typeof payload === 'object' && payload !== null ? payload : undefined;
  } catch {
    return undefined;
  }
}

function unreadable({ instanceId, field }: Binding, reason: string): EverbootFailure {
  return new EverbootFailure('SecretUnreadable', `the sealed ${field} of instance ${instanceId} ${reason}`);
}
