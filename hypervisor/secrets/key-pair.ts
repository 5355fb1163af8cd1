import { generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { calculateJwkThumbprint } from 'jose';
import { EverbootFailure } from '../../domain/failures.ts';
import { sealingAlgorithms } from '../../domain/sealing.ts';
import { type PrivateJwk, type PublicJwk, parsePrivateKeys, parsePublicKeys } from '../../domain/sealing-keys.ts';
import { publishText } from '../files/publish-file.ts';
import { isThere } from '../files/small-file.ts';

/**
 * Makes the first key pair where neither file is there, and leaves existing ones alone. Throws ConfigInvalid where only
 * the public key is there: whatever is sealed for it, nobody here could open.
 */
export async function ensureKeyPair(publicKeyFile: string, privateKeyFile: string): Promise<void> {
  const [hasPublic, hasPrivate] = await Promise.all([isThere(publicKeyFile), isThere(privateKeyFile)]);
  if (hasPublic && hasPrivate) return;
  if (hasPublic) {
    throw new EverbootFailure(
      'ConfigInvalid',
      `${publicKeyFile} is there, and its private half ${privateKeyFile} is not`,
      {
        remedy: 'Bring the private key back, or remove the public one so that a new pair is made.',
      },
    );
  }
  // A crash between the two files left the private keys alone; the public ones follow from them.
  if (hasPrivate) await writePublicKeys(publicKeyFile, await readPrivateJwks(privateKeyFile));
  else await addKeyPair(publicKeyFile, privateKeyFile);
}

/**
 * Adds a new key pair behind those that the two files hold, making the files where they are absent, and returns its
 * thumbprint. The new key seals from now on; older ones stay, for what they sealed. The private key is written first,
 * so that no client ever seals for a key that is not on disk.
 */
export async function addKeyPair(publicKeyFile: string, privateKeyFile: string): Promise<string> {
  const [olderPrivate, olderPublic] = await Promise.all([
    readPrivateJwks(privateKeyFile),
    readPublicJwks(publicKeyFile),
  ]);
  const added = newPrivateJwk();
  await mkdir(dirname(privateKeyFile), { recursive: true });
  await publishText(privateKeyFile, await keySetText([...olderPrivate, added]), 0o600);
  await writePublicKeys(publicKeyFile, [...olderPublic, added]);
  return await calculateJwkThumbprint(added);
}

function newPrivateJwk(): PrivateJwk {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ format: 'jwk' }) as PrivateJwk;
}

async function readPrivateJwks(path: string): Promise<readonly PrivateJwk[]> {
  return (await isThere(path)) ? parsePrivateKeys(await readFile(path, 'utf8'), path) : [];
}

async function readPublicJwks(path: string): Promise<readonly PublicJwk[]> {
  return (await isThere(path)) ? parsePublicKeys(await readFile(path, 'utf8'), path) : [];
}

async function writePublicKeys(path: string, keys: readonly PublicJwk[]): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const publicHalves = keys.map(({ kty, crv, x, y }) => ({ kty, crv, x, y }));
  await publishText(path, await keySetText(publicHalves), 0o644);
}

/** A JWK Set, each key with its thumbprint and purpose, for people and for other JOSE programs. */
async function keySetText(keys: readonly PublicJwk[]): Promise<string> {
  const described = await Promise.all(
    keys.map(async (key) => ({
      ...key,
      kid: await calculateJwkThumbprint(key),
      use: 'enc',
      alg: sealingAlgorithms.alg,
    })),
  );
  return `${JSON.stringify({ keys: described }, undefined, 2)}\n`;
}
