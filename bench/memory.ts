/**
 * Measures the worker's memory while an image of 2 GiB streams through it: before, and at its highest meanwhile.
 *
 *   node bench/memory.ts
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connectClient } from '../client/connect-client.ts';
import { startEverboot } from '../test/fixtures/running-everboot.ts';

const mebibyte = 2 ** 20;
const sizes = [256, 2048];
const piece = randomBytes(mebibyte);

/** The same MiB again and again: the bytes do not matter, their number does. */
function digestOf(mebibytes: number): string {
  const hash = createHash('sha512');
  for (let at = 0; at < mebibytes; at += 1) hash.update(piece);
  return `sha512:${hash.digest('hex')}`;
}

const server = createServer(async (request, response) => {
  const mebibytes = Number(request.url?.slice(1));
  response.writeHead(200, { 'content-length': mebibytes * mebibyte });
  if (request.method === 'HEAD') return void response.end();
  for (let at = 0; at < mebibytes && !response.destroyed; at += 1) {
    if (!response.write(piece)) await once(response, 'drain').catch(() => undefined);
  }
  response.end();
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as { port: number };

const up = await startEverboot({ command: 'up' });
const everboot = await connectClient({ address: up.ready.temporal, namespace: 'default' });
const pid = up.process().pid ?? 0;
const memoryMib = async (): Promise<number> => {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) / 1024;
};
process.stdout.write('| image, MiB | before, MiB | highest, MiB |\n|---|---|---|\n');
for (const mebibytes of sizes) {
  const before = await memoryMib();
  let highest = before;
  const watch = setInterval(async () => {
    highest = Math.max(highest, await memoryMib());
  }, 50);
  const { instanceId } = await everboot.createInstance({
    name: 'memory',
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 4, ephemeralGb: 0, swapMb: 0 },
    image: { url: `http://127.0.0.1:${port}/${mebibytes}`, digest: digestOf(mebibytes), format: 'raw' },
    boot: 'disks',
  });
  await everboot.wait(instanceId);
  clearInterval(watch);
  process.stdout.write(`| ${mebibytes} | ${before.toFixed()} | ${highest.toFixed()} |\n`);
  await everboot.delete(instanceId);
}
await everboot.close();
await up.stop();
server.close();
server.closeAllConnections();
