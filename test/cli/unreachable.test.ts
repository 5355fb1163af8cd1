import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Command } from 'commander';
import { everbootProgram } from '../../cli/program.ts';
import { freePort } from '../fixtures/free-port.ts';

const main = new URL('../../cli/everboot.ts', import.meta.url).pathname;

/** The commands that ask no Temporal server; every other one has to say that it can reach none. */
const local = new Set(['demo', 'test', 'image inspect', 'schema', 'keygen']);

/** Far more than a command may take; it is for a command that hangs. */
const hangsAfterMs = 120_000;

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-unreachable-'));
  const spec = { name: 'x', host: 'h', flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 0 } };
  await writeFile(join(folder, 'spec.json'), JSON.stringify({ ...spec, boot: 'disks' }));
});
after(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Every command that can be run, with what its arguments and required options need. */
function commandLines(command: Command = everbootProgram(), path: readonly string[] = []): string[][] {
  if (command.commands.length > 0) {
    return command.commands.flatMap((inner) => commandLines(inner, [...path, inner.name()]));
  }
  if (local.has(path.join(' '))) return [];
  const values = command.registeredArguments.filter(({ required }) => required).map(() => crypto.randomUUID());
  const options = command.options
    .filter(({ mandatory }) => mandatory)
    .flatMap(({ long }) => [long ?? '', join(folder, 'spec.json')]);
  return [[...path, ...values, ...options]];
}

async function run(args: readonly string[], address: string) {
  const environment = {
    ...process.env,
    TEMPORAL_ADDRESS: address,
    EVERBOOT_CONFIG: '',
    EVERBOOT_STATE_DIR: join(folder, 'state'),
    EVERBOOT_HOST_INSTANCES_PATH: join(folder, 'instances'),
  };
  const child = spawn(process.execPath, [main, ...args, '--json'], { env: environment, timeout: hangsAfterMs });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (piece) => {
    said.stdout += String(piece);
  });
  child.stderr.on('data', (piece) => {
    said.stderr += String(piece);
  });
  child.stdin.end();
  const [code] = await once(child, 'close');
  return { code: code as number | null, ...said };
}

/** Runs every command, a few at a time, and expects of each that it names what it cannot reach. */
async function assertAllSaySo(address: string, waiting = commandLines()): Promise<void> {
  assert.ok(waiting.length >= 10, 'the commands were found');
  await Promise.all(
    Array.from({ length: 6 }, async () => {
      for (let args = waiting.pop(); args !== undefined; args = waiting.pop()) {
        const { code, stdout, stderr } = await run(args, address);
        const about = `${args.join(' ')}: ${stdout}${stderr}`;
        assert.equal(code, 5, about);
        const { error } = JSON.parse(stdout);
        assert.equal(error.code, 'TemporalUnreachable', about);
        assert.equal(error.retryable, true, about);
        assert.ok(error.message.includes(address), about);
        assert.ok(stderr.includes(address), about);
      }
    }),
  );
}

test('every command that needs Temporal says what it cannot reach where nobody listens', async () => {
  // There `up` starts a server, which is what it is for.
  await assertAllSaySo(
    `127.0.0.1:${await freePort()}`,
    commandLines().filter(([name]) => name !== 'up'),
  );
});

test('and where connections are taken and nothing is read', async () => {
  const sockets = new Set<Socket>();
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await assertAllSaySo(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

test('and where the server stops answering after its greeting', async () => {
  const server = createHttp2Server();
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    if (!headers[':path']?.endsWith('/GetSystemInfo')) return;
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    // An empty message: one byte for its compression, four for its length.
    stream.end(Buffer.alloc(5));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await assertAllSaySo(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});
