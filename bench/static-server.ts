import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { createServer } from 'node:http';

/**
 * Serves one file on loopback, as fast as it can, to everybody who is measured. Its address is the first line it
 * prints.
 */
const path = process.argv[2] ?? '';
const file = await open(path);
const { size } = await file.stat();
const pieceBytes = 2 ** 20;

const server = createServer(async (request, response) => {
  response.writeHead(200, { 'content-length': size });
  if (request.method === 'HEAD') return void response.end();
  for (let at = 0; at < size && !response.destroyed; ) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(pieceBytes), 0, pieceBytes, at);
    if (!response.write(buffer.subarray(0, bytesRead))) await once(response, 'drain').catch(() => undefined);
    at += bytesRead;
  }
  response.end();
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
process.stdout.write(`http://127.0.0.1:${(server.address() as { port: number }).port}/image\n`);
