import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CompactEncrypt, importJWK } from 'jose';
import { readPublicKey, sealSecrets } from '../../../client/request/seal-secrets.ts';
import { EverbootFailure } from '../../../domain/failures.ts';
import type { SealedSecrets } from '../../../domain/spec.ts';
import { addKeyPair } from '../../../hypervisor/secrets/key-pair.ts';
import { openSecrets, type PrivateKey, readPrivateKeys } from '../../../hypervisor/secrets/secret-keys.ts';

const instanceId = randomUUID();
const secrets = {
  userData: Buffer.from('#!/bin/sh\necho planted\n').toString('base64'),
  adminPassword: 'planted',
  files: [{ path: '/etc/motd', base64: Buffer.from('planted').toString('base64'), mode: '0600' }],
  vendorData: { 'cloud-init': 'planted' },
};

let folder: string;
let publicKeyFile: string;
let privateKeyFile: string;
let kid: string;
let keys: readonly PrivateKey[];
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-keys-'));
  publicKeyFile = join(folder, 'public.json');
  privateKeyFile = join(folder, 'private.json');
  kid = await addKeyPair(publicKeyFile, privateKeyFile);
  keys = await readPrivateKeys(privateKeyFile);
});
after(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function assertUnreadable(
  sealed: SealedSecrets,
  message: RegExp,
  options: { readonly keys?: PrivateKey[] } = {},
) {
  await assert.rejects(openSecrets(sealed, instanceId, options.keys ?? keys), (error: unknown) => {
    assert.ok(error instanceof EverbootFailure, String(error));
    assert.equal(error.code, 'SecretUnreadable');
    assert.match(error.message, message);
    assert.doesNotMatch(`${error.stack} ${error.cause}`, /planted/);
    return true;
  });
}

/** A sealed value made without the client: by any key, of any text, with any header. */
async function sealAnything(text: string, header: Record<string, string> = {}): Promise<string> {
  const recipient = await importJWK(await readPublicKey(publicKeyFile), 'ECDH-ES');
  return await new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', kid, ...header })
    .encrypt(recipient);
}

test('what the client sealed for an instance, its host opens', async () => {
  const sealed = await sealSecrets(secrets, publicKeyFile, instanceId);
  assert.deepEqual(await openSecrets(sealed, instanceId, keys), secrets);
  assert.deepEqual(await openSecrets({}, instanceId, []), {});
});

test('values of the largest allowed size come through', async () => {
  const base64 = Buffer.alloc(64 * 1024, 7).toString('base64');
  const vendorData = { text: 'x'.repeat(64 * 1024 - '{"text":""}'.length) };
  const large = { userData: base64, files: [{ path: '/a', base64 }], vendorData };
  assert.deepEqual(await openSecrets(await sealSecrets(large, publicKeyFile, instanceId), instanceId, keys), large);
});

test('a value sealed before a rotation opens after it', async () => {
  const rotated = [join(folder, 'rotated.json'), join(folder, 'rotated-private.json')] as const;
  await addKeyPair(...rotated);
  const before = await sealSecrets(secrets, rotated[0], instanceId);
  await addKeyPair(...rotated);
  const later = await sealSecrets(secrets, rotated[0], instanceId);
  const both = await readPrivateKeys(rotated[1]);
  assert.equal(both.length, 2);
  assert.deepEqual(await openSecrets(before, instanceId, both), secrets);
  assert.deepEqual(await openSecrets(later, instanceId, both), secrets);
});

test('a host without a key names the option', async () => {
  const sealed = await sealSecrets(secrets, publicKeyFile, instanceId);
  await assertUnreadable(sealed, /private_key_file is not set/, { keys: [] });
});

test('a value sealed for another key names both keys', async () => {
  const [otherPublic, otherPrivate] = [join(folder, 'other.json'), join(folder, 'other-private.json')];
  const otherKid = await addKeyPair(otherPublic, otherPrivate);
  const sealed = await sealSecrets(secrets, otherPublic, instanceId);
  await assertUnreadable(sealed, new RegExp(`sealed for the key ${otherKid}, and this host has ${kid}`));
});

test('a value sealed for another instance or another field does not open here', async () => {
  const elsewhere = await sealSecrets(secrets, publicKeyFile, randomUUID());
  await assertUnreadable(elsewhere, /another instance/);
  const { adminPassword } = await sealSecrets(secrets, publicKeyFile, instanceId);
  assert.ok(adminPassword);
  await assertUnreadable({ userData: adminPassword }, /userData .* another field/);
});

test('garbage, damage and foreign ways of sealing are SecretUnreadable', async () => {
  const { adminPassword } = await sealSecrets(secrets, publicKeyFile, instanceId);
  const parts = (adminPassword?.sealed ?? '').split('.');
  const damaged = [...parts.slice(0, 3), Buffer.from('another text').toString('base64url'), parts[4]].join('.');
  const cases: [string, RegExp][] = [
    ['planted', /not a JWE/],
    ['a.b.c.d.e', /not a JWE/],
    [damaged, /damaged/],
    [await sealAnything('planted'), /damaged/],
    [
      await sealAnything(JSON.stringify({ instanceId, field: 'adminPassword', value: 'x' }), { enc: 'A128GCM' }),
      /damaged/,
    ],
    [await sealAnything(JSON.stringify({ instanceId, field: 'adminPassword', value: 'x' }), { zip: 'DEF' }), /damaged/],
    [await sealAnything(JSON.stringify({ instanceId, field: 'adminPassword', value: ['planted'] })), /no value that/],
    ['x'.repeat(300_000), /longer than/],
  ];
  for (const [sealed, message] of cases) await assertUnreadable({ adminPassword: { sealed } }, message);
});

test('an opened value is checked as a spec would be', async () => {
  const wrong: [keyof SealedSecrets, unknown][] = [
    ['userData', 'not base64!'],
    ['userData', Buffer.alloc(64 * 1024 + 1).toString('base64')],
    [
      'files',
      [
        { path: '/a', base64: Buffer.alloc(40_000).toString('base64') },
        { path: '/b', base64: Buffer.alloc(40_000).toString('base64') },
      ],
    ],
    ['files', [{ path: '/a', base64: '', owner: 'root' }]],
    ['files', [{ path: 'etc/planted', base64: '' }]],
    ['files', [{ path: '/etc/../planted', base64: '' }]],
    ['files', [{ path: `/${'planted'.repeat(37)}`, base64: '' }]],
    ['files', [{ path: '/a', base64: '', mode: 'planted' }]],
    ['adminPassword', ''],
    ['adminPassword', 'planted\nplanted'],
    ['adminPassword', 'planted'.repeat(37)],
    ['vendorData', 'planted'],
    ['vendorData', ['planted']],
    ['vendorData', { text: 'x'.repeat(64 * 1024) }],
  ];
  for (const [field, value] of wrong) {
    const sealed = await sealAnything(JSON.stringify({ instanceId, field, value }));
    await assertUnreadable({ [field]: { sealed } }, /no value that/);
  }
});

test('a private key file with any right for others is refused, and one for its owner alone is taken', async () => {
  const copy = join(folder, 'copy.json');
  await writeFile(copy, await readFile(privateKeyFile));
  for (const mode of [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o666]) {
    await chmod(copy, mode);
    await assert.rejects(readPrivateKeys(copy), (error: unknown) => {
      assert.ok(error instanceof EverbootFailure && error.code === 'ConfigInvalid', String(error));
      assert.match(error.message, new RegExp(`has mode 0${mode.toString(8)}; only its owner`));
      return true;
    });
  }
  for (const mode of [0o600, 0o400]) {
    await chmod(copy, mode);
    assert.equal((await readPrivateKeys(copy)).length, 1);
  }
});

test('a private key file that is too large to be one is refused unread', async () => {
  const path = join(folder, 'large.json');
  await writeFile(path, ' '.repeat(64 * 1024 + 1), { mode: 0o600 });
  await assert.rejects(readPrivateKeys(path), /larger than a key file can be/);
});

test('a private key file that is absent or wrong is named and not quoted', async () => {
  await assert.rejects(
    readPrivateKeys(join(folder, 'absent.json')),
    /private_key_file .*absent\.json cannot be read \(ENOENT\)/,
  );
  const off = { ...JSON.parse(await readFile(privateKeyFile, 'utf8')).keys[0], x: 'A'.repeat(43) };
  for (const text of ['planted', JSON.stringify({ kty: 'EC', crv: 'P-256', d: 'planted' }), JSON.stringify(off)]) {
    const path = join(folder, 'wrong.json');
    await writeFile(path, text, { mode: 0o600 });
    await assert.rejects(readPrivateKeys(path), (error: unknown) => {
      assert.ok(error instanceof EverbootFailure && error.code === 'ConfigInvalid', String(error));
      assert.doesNotMatch(`${error.stack}`, /planted|AAAA/);
      return true;
    });
  }
});
