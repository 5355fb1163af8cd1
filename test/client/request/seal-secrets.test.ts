import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { decodeProtectedHeader } from 'jose';
import { readPublicKey, sealSecrets } from '../../../client/request/seal-secrets.ts';
import { EverbootFailure } from '../../../domain/failures.ts';
import { addKeyPair } from '../../../hypervisor/secrets/key-pair.ts';

let folder: string;
let publicKeyFile: string;
let privateKeyFile: string;
let kid: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-seal-'));
  publicKeyFile = join(folder, 'public.json');
  privateKeyFile = join(folder, 'private.json');
  kid = await addKeyPair(publicKeyFile, privateKeyFile);
});
after(async () => {
  await rm(folder, { recursive: true, force: true });
});

function failsWith(code: string, message: RegExp) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code && message.test(error.message);
}

test('each secret is sealed by itself, and its header says with what and for which key', async () => {
  const sealed = await sealSecrets(
    { userData: 'IyE=', adminPassword: 'planted', vendorData: { text: 'planted' } },
    publicKeyFile,
    randomUUID(),
  );
  assert.deepEqual(Object.keys(sealed), ['userData', 'adminPassword', 'vendorData']);
  for (const { sealed: jwe } of Object.values(sealed)) {
    const { alg, enc, kid: named } = decodeProtectedHeader(jwe);
    assert.deepEqual({ alg, enc, named }, { alg: 'ECDH-ES', enc: 'A256GCM', named: kid });
    assert.equal(jwe.split('.').length, 5);
  }
  assert.doesNotMatch(JSON.stringify(sealed), /planted/);
});

test('a spec without secrets needs no key', async () => {
  assert.deepEqual(await sealSecrets({}, null, randomUUID()), {});
});

test('secrets without a key are refused, never sent in plain', async () => {
  const secrets = { adminPassword: 'planted' };
  await assert.rejects(sealSecrets(secrets, null, randomUUID()), failsWith('SecretKeyMissing', /public_key_file/));
  const absent = join(folder, 'absent.json');
  await assert.rejects(sealSecrets(secrets, absent, randomUUID()), failsWith('SecretKeyMissing', /ENOENT/));
});

test('the last key of a set seals', async () => {
  const rotated = join(folder, 'rotated.json');
  const rotatedPrivate = join(folder, 'rotated-private.json');
  await addKeyPair(rotated, rotatedPrivate);
  const newest = await addKeyPair(rotated, rotatedPrivate);
  const { adminPassword } = await sealSecrets({ adminPassword: 'x' }, rotated, randomUUID());
  assert.equal(decodeProtectedHeader(adminPassword?.sealed ?? '').kid, newest);
});

test('a single JWK is a public key file, too', async () => {
  const single = join(folder, 'single.json');
  const set = JSON.parse(await readFile(publicKeyFile, 'utf8'));
  await writeFile(single, JSON.stringify(set.keys[0]));
  assert.deepEqual(await readPublicKey(single), await readPublicKey(publicKeyFile));
});

test('a file that is no public key is named and not quoted', async () => {
  const cases: [string, RegExp][] = [
    ['planted words', /must hold a public P-256 key/],
    ['{"keys":[]}', /must hold a public P-256 key/],
    ['{"kty":"oct","k":"planted"}', /must hold a public P-256 key/],
    [await readFile(privateKeyFile, 'utf8'), /holds a private one/],
  ];
  for (const [text, message] of cases) {
    const path = join(folder, 'wrong.json');
    await writeFile(path, text);
    await assert.rejects(readPublicKey(path), (error: unknown) => {
      assert.ok(failsWith('ConfigInvalid', message)(error), String(error));
      assert.doesNotMatch(String(error), /planted/);
      return true;
    });
  }
});

test('a value that no host would open is refused when it is sealed', async () => {
  const secrets = { adminPassword: 'x'.repeat(256 * 1024) };
  await assert.rejects(sealSecrets(secrets, publicKeyFile, randomUUID()), failsWith('SpecInvalid', /when sealed/));
});
