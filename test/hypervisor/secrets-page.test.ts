import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { decodeProtectedHeader } from 'jose';
import { sealSecrets } from '../../client/request/seal-secrets.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { secretFields } from '../../domain/sealing.ts';
import type { InstanceSecrets, SealedSecrets } from '../../domain/spec.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { addKeyPair } from '../../hypervisor/secrets/key-pair.ts';
import { openSecrets, readPrivateKeys } from '../../hypervisor/secrets/secret-keys.ts';

const page = await readFile(new URL('../../docs/secrets.md', import.meta.url), 'utf8');
const instanceId = randomUUID();
const secrets: InstanceSecrets = {
  userData: Buffer.from('#!/bin/sh\necho grüße\n').toString('base64'),
  adminPassword: 'pässword',
  files: [
    { path: '/etc/a', base64: 'AAE=', mode: '0600' },
    { path: '/etc/b', base64: '' },
  ],
  vendorData: { 'cloud-init': '#cloud-config\n', nested: { list: [1, null] } },
};

interface KeyFiles {
  readonly folder: string;
  readonly publicKeyFile: string;
  readonly privateKeyFile: string;
}

async function keyFiles(t: TestContext): Promise<KeyFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-secrets-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return { folder, publicKeyFile: join(folder, 'public.json'), privateKeyFile: join(folder, 'private.json') };
}

test('what the page’s Python program seals, the host opens', async (t) => {
  const { folder, publicKeyFile, privateKeyFile } = await keyFiles(t);
  await addKeyPair(publicKeyFile, privateKeyFile);
  const newest = await addKeyPair(publicKeyFile, privateKeyFile);
  const [, program = ''] = /```python\n(.*?)```/s.exec(page) ?? [];
  await writeFile(join(folder, 'seal.py'), program);
  const args = [join(folder, 'seal.py'), publicKeyFile, instanceId];
  // Debian's Python, which has jwcrypto; another one may come before it on the path.
  const run = { timeoutMs: 30_000, input: JSON.stringify(secrets) };
  const { stdout } = await runProgram('/usr/bin/python3', args, run);
  const sealed = JSON.parse(stdout) as SealedSecrets;
  for (const field of secretFields) {
    assert.equal(decodeProtectedHeader(sealed[field]?.sealed ?? '').kid, newest, field);
  }
  assert.deepEqual(await openSecrets(sealed, instanceId, await readPrivateKeys(privateKeyFile)), secrets);
  await assert.rejects(openSecrets(sealed, randomUUID(), await readPrivateKeys(privateKeyFile)), /another instance/);
});

test('keys are changed as the page says, and no value is unreadable until its key is taken out', async (t) => {
  const { publicKeyFile, privateKeyFile } = await keyFiles(t);
  const oldKid = await addKeyPair(publicKeyFile, privateKeyFile);
  const sealedBefore = await sealSecrets(secrets, publicKeyFile, instanceId);

  const newKid = await addKeyPair(publicKeyFile, privateKeyFile);
  const sealedAfter = await sealSecrets(secrets, publicKeyFile, instanceId);
  assert.equal(decodeProtectedHeader(sealedAfter.vendorData?.sealed ?? '').kid, newKid, 'the newest seals');
  const both = await readPrivateKeys(privateKeyFile);
  assert.deepEqual(await openSecrets(sealedBefore, instanceId, both), secrets);
  assert.deepEqual(await openSecrets(sealedAfter, instanceId, both), secrets);

  const { keys } = JSON.parse(await readFile(privateKeyFile, 'utf8'));
  await writeFile(privateKeyFile, JSON.stringify({ keys: keys.slice(1) }));
  const left = await readPrivateKeys(privateKeyFile);
  assert.deepEqual(await openSecrets(sealedAfter, instanceId, left), secrets);
  await assert.rejects(openSecrets(sealedBefore, instanceId, left), (error: unknown) => {
    assert.ok(error instanceof EverbootFailure && error.code === 'SecretUnreadable', String(error));
    assert.match(error.message, new RegExp(`sealed for the key ${oldKid}, and this host has ${newKid}`));
    return true;
  });
});

test('the page’s table has every secret field', () => {
  const table = page.slice(page.indexOf('| `field` |'), page.indexOf('This program in Python'));
  const [, ...fields] = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, field]) => field);
  assert.deepEqual(fields, [...secretFields]);
});
