import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { describeImage } from '../../hypervisor/sources/describe-image.ts';
import { glanceSettings, imageServer, serve } from '../fixtures/image-server.ts';

/** An https server that sends everybody elsewhere, with a certificate that nobody signed. */
async function redirectingHttps(t: TestContext, location: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'everboot-https-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const [keyFile, certFile] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const kind = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1'];
  execFileSync('openssl', [...kind, ...subject, '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' });
  const [key, cert] = [await readFile(keyFile), await readFile(certFile)];
  const server = createServer({ key, cert }, (_request, response) => response.writeHead(302, { location }).end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}/image`;
}

function look(url: string) {
  const reference = { url, digest: `sha256:${'ab'.repeat(32)}`, format: 'raw' } as const;
  const sources = { glance: glanceSettings({ numRetries: 0 }), fileImageRoots: [] };
  return describeImage(reference, sources, AbortSignal.timeout(120_000));
}

test('a certificate that is not trusted is no connection', async (t) => {
  const url = await redirectingHttps(t, '/');
  await assert.rejects(look(url), { code: 'SourceUnreachable', message: /self-signed certificate/ });
});

test('a redirect from https to http is not followed', async (t) => {
  const plain = await imageServer(t, [serve(Buffer.from('x'))]);
  const url = await redirectingHttps(t, `${plain.url}/image`);
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  t.after(() => {
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  });
  await assert.rejects(look(url), { code: 'SourceUnavailable', message: /which is not followed/ });
  assert.deepEqual(plain.requests, []);
});
