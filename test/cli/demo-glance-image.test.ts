import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { imageUrl, removeFromGlance, uploadToGlance } from '../../cli/demo/glance-image.ts';

const folder = await mkdtemp('/var/tmp/everboot-test-glance-');
const path = join(folder, 'image.qcow2');
await writeFile(path, 'the bytes of an image');
const upload = { image: { path }, signal: new AbortController().signal };

/** Answers as Glance does, and notes what it was asked. */
const asked: string[] = [];
let uploadStatus = 204;
const server = createServer(async (request, response) => {
  let body = '';
  for await (const piece of request) body += piece;
  asked.push(`${request.method} ${request.url} ${body}`);
  if (request.method === 'POST') response.writeHead(201).end('{}');
  else response.writeHead(request.method === 'PUT' ? uploadStatus : 404).end('says why');
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const glanceUrl = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
after(async () => {
  server.close();
  await rm(folder, { recursive: true, force: true });
});

const id = '5b3c6f0e-0000-4000-8000-00000000abcd';

test('an image is registered, then its bytes are sent', async () => {
  asked.length = 0;
  await uploadToGlance(glanceUrl, id, upload);
  assert.deepEqual(asked, [
    `POST /v2/images {"id":"${id}","name":"everboot demo","disk_format":"qcow2","container_format":"bare"}`,
    `PUT /v2/images/${id}/file the bytes of an image`,
  ]);
});

test('what Glance said when it refused the bytes is reported', async () => {
  uploadStatus = 413;
  await assert.rejects(uploadToGlance(glanceUrl, id, upload), {
    code: 'GlanceConnectionFailed',
    message: /answered 413: says why/,
  });
});

test('removing an image that is not there is no failure', async () => {
  await removeFromGlance(glanceUrl, id);
});

test('a Glance server that does not answer is named', async () => {
  await assert.rejects(uploadToGlance('http://127.0.0.1:1', id, upload), {
    code: 'GlanceConnectionFailed',
    message: /http:\/\/127\.0\.0\.1:1\/v2\/images/,
  });
});

test('the address may be given with or without the version', () => {
  assert.equal(imageUrl('http://glance:9292/v2/', id), `http://glance:9292/v2/images/${id}`);
  assert.equal(imageUrl('http://glance:9292', id), `http://glance:9292/v2/images/${id}`);
});
