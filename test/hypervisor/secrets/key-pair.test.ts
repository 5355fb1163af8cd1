import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { addKeyPair, ensureKeyPair } from '../../../hypervisor/secrets/key-pair.ts';

let folder: string;
let publicKeyFile: string;
let privateKeyFile: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-key-pair-'));
  publicKeyFile = join(folder, 'keys/public.json');
  privateKeyFile = join(folder, 'keys/private.json');
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

test('the first pair is a private file for its owner and a public one for everybody', async () => {
  await ensureKeyPair(publicKeyFile, privateKeyFile);
  assert.equal((await stat(privateKeyFile)).mode & 0o777, 0o600);
  assert.equal((await stat(publicKeyFile)).mode & 0o777, 0o644);
  const [publicKey] = JSON.parse(await readFile(publicKeyFile, 'utf8')).keys;
  const [privateKey] = JSON.parse(await readFile(privateKeyFile, 'utf8')).keys;
  assert.equal(publicKey.d, undefined);
  assert.equal(publicKey.kid, privateKey.kid);
  assert.deepEqual((await readdir(join(folder, 'keys'))).sort(), ['private.json', 'public.json']);
});

test('a pair that is there stays as it is', async () => {
  await ensureKeyPair(publicKeyFile, privateKeyFile);
  const made = await readFile(privateKeyFile, 'utf8');
  await ensureKeyPair(publicKeyFile, privateKeyFile);
  assert.equal(await readFile(privateKeyFile, 'utf8'), made);
});

test('a public key that a crash left unwritten is made from the private one', async () => {
  await ensureKeyPair(publicKeyFile, privateKeyFile);
  const made = await readFile(publicKeyFile, 'utf8');
  await rm(publicKeyFile);
  await ensureKeyPair(publicKeyFile, privateKeyFile);
  assert.equal(await readFile(publicKeyFile, 'utf8'), made);
});

test('a public key whose private half is missing is refused', async () => {
  await ensureKeyPair(publicKeyFile, privateKeyFile);
  await rm(privateKeyFile);
  await assert.rejects(ensureKeyPair(publicKeyFile, privateKeyFile), /private half .* is not/);
});

test('another pair is added behind those that are there', async () => {
  const first = await addKeyPair(publicKeyFile, privateKeyFile);
  const second = await addKeyPair(publicKeyFile, privateKeyFile);
  for (const path of [publicKeyFile, privateKeyFile]) {
    const { keys } = JSON.parse(await readFile(path, 'utf8'));
    assert.deepEqual(
      keys.map((key: { kid: string }) => key.kid),
      [first, second],
    );
  }
});
