import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmod, chown, mkdir, mkdtemp, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { trustedCertificate, trustFolderProblem } from '../../hypervisor/signatures/trusted-certificate.ts';

const id = 'c1f0e1a2-0000-4000-8000-5f3b1c2d4e5f';
let folder: string;
let path: string;
let pem: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-trusted-'));
  path = join(folder, `${id}.pem`);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1', '-nodes', '-keyout', '/dev/null'];
  const files = ['-out', path, '-subj', '/CN=images', '-days', '2'];
  await runProgram('openssl', ['req', '-x509', ...key, ...files], { timeoutMs: 120_000 });
  await chmod(path, 0o644);
  pem = await readFile(path, 'utf8');
});
after(() => rm(folder, { recursive: true, force: true }));

/** Writes the certificate again, with this in its file. */
async function putCertificate(content: string | Uint8Array): Promise<void> {
  await rm(path, { force: true, recursive: true });
  await writeFile(path, content, { mode: 0o644 });
}

async function refused(message: RegExp): Promise<void> {
  await assert.rejects(trustedCertificate(folder, id), { code: 'ImageSignatureInvalid', message });
}

test('a certificate is read from PEM, with text around it, and from DER', async () => {
  for (const content of [pem, `the image builders’ certificate\n${pem}`, new X509Certificate(pem).raw]) {
    await putCertificate(content);
    assert.equal((await trustedCertificate(folder, id)).subject, 'CN=images');
  }
});

test('what is no certificate is said to be none, and is read no further than a certificate is long', async () => {
  for (const content of ['', 'text', pem.replace(/[A-Z]{8}/, 'AAAAAAAA').slice(0, 300)]) {
    await putCertificate(content);
    await refused(/is not an X\.509 certificate/);
  }
  await putCertificate(pem);
  await truncate(path, 2 ** 40);
  await refused(/has more than 64 KiB/);
});

test('neither a link, nor a pipe, nor a folder is a certificate', async () => {
  await putCertificate(pem);
  await rename(path, join(folder, 'elsewhere'));
  await symlink(join(folder, 'elsewhere'), path);
  await refused(/cannot be read \(ELOOP\)/);
  await rm(path);
  await runProgram('mkfifo', ['-m', '644', path], { timeoutMs: 5000 });
  await refused(/is not a file/);
  await rm(path);
  await mkdir(path, { mode: 0o755 });
  await refused(/is not a file/);
});

test('whoever else could write a certificate or its folder makes it worth nothing', async (t) => {
  await putCertificate(pem);
  for (const mode of [0o664, 0o646]) {
    await chmod(path, mode);
    await refused(new RegExp(`may be written by others than its owner \\(0${mode.toString(8)}\\)`));
  }
  await chmod(path, 0o644);
  await chmod(folder, 0o770);
  await refused(/the folder of trusted certificates, .* may be written by others/);
  await chmod(folder, 0o755);
  await trustedCertificate(folder, id);
  if (process.getuid?.() !== 0) return t.diagnostic('only root can give a file away');
  await chown(path, 4242, 0);
  await refused(/belongs to user 4242/);
});

test('a folder that is absent, or is none, is reported', async () => {
  await putCertificate(pem);
  assert.equal(await trustFolderProblem(folder), undefined);
  assert.match((await trustFolderProblem(join(folder, 'absent'))) ?? '', /ENOENT/);
  assert.match((await trustFolderProblem(path)) ?? '', /is not a folder/);
});
