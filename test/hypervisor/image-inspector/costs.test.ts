import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { EverbootFailure } from '../../../domain/failures.ts';
import type { ImageDescription } from '../../../domain/image.ts';
import { maxHeadBytes, maxReadBytes } from '../../../hypervisor/image-inspector/image-bytes.ts';
import { inspectImage } from '../../../hypervisor/image-inspector/inspect-image.ts';
import { judgeHead } from '../../../hypervisor/image-inspector/judge-head.ts';
import { downloadImage } from '../../../hypervisor/image-store/download/download-image.ts';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { glanceSettings } from '../../fixtures/image-server.ts';
import { kinds, limits, openWorkshop, type Workshop } from './made-images.ts';

const mebibyte = 2 ** 20;
const timeoutMs = 60_000;

let workshop: Workshop;
before(async () => {
  workshop = await openWorkshop();
});
after(() => workshop.close());

/** Serves these bytes and noise behind them, so much as is taken; ends with its test. */
async function endlessServer(t: TestContext, head: Buffer, sizeBytes: number): Promise<string> {
  const noise = Buffer.alloc(2 ** 16, 'everboot');
  const server = createServer((_request, response) => {
    response.on('error', () => undefined);
    response.writeHead(200, { 'content-length': sizeBytes }).write(head);
    const more = (): void => {
      while (!response.destroyed && response.write(noise));
    };
    response.on('drain', more);
    more();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Fetches an image of 1 GiB that begins so, and answers the pieces that were taken of it before it was refused. */
async function piecesOf(t: TestContext, head: Buffer, format: 'raw' | 'qcow2' | 'vmdk' | 'vhdx'): Promise<number[]> {
  const sizeBytes = 2 ** 30;
  const url = await endlessServer(t, head, sizeBytes);
  const folder = await mkdtemp(join(workshop.folder, 'taken-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const pieces: number[] = [];
  const image: ImageDescription = {
    reference: { glance: 'c1f0e1a2-0000-4000-8000-5f3b1c2d4e5f' },
    ...{ title: 'hostile', format, sizeBytes, properties: {}, minDiskGb: 0, minRamMb: 0 },
    digest: { algorithm: 'sha512', hex: createHash('sha512').digest('hex') },
  };
  const settings = {
    glance: glanceSettings({ apiServers: [url], imageMaxBytes: 2 ** 40 }),
    fileImageRoots: [],
    // What passes here is what was read of the connection.
    rateLimit: {
      take: async (bytes: number) => {
        pieces.push(bytes);
      },
    },
  };
  const fetching = downloadImage({ image, partPath: join(folder, 'part'), timeMs: 30_000, judgeHead }, settings, {
    signal: t.signal,
    onProgress: () => undefined,
  });
  await assert.rejects(fetching, (error) => error instanceof EverbootFailure && error.code === 'ImageUnacceptable');
  await assert.rejects(stat(join(folder, 'part')), { code: 'ENOENT' });
  return pieces;
}

test('an image whose head is hostile costs no more than its first MiB, and nothing of it stays', async (t) => {
  const backed = join(workshop.folder, 'backed.qcow2');
  const create = ['create', '-q', '-u', '-f', 'qcow2', '-F', 'raw', '-b', '/etc/passwd', backed, '1G'];
  await runProgram('qemu-img', create, { timeoutMs });
  const heads = [
    [await readFile(backed), 'qcow2'],
    [await readFile(backed), 'raw'],
    [await readFile(await workshop.make('qed')), 'raw'],
    [await readFile(await workshop.make('vmdk monolithicSparse')), 'vhdx'],
    [Buffer.from('# Disk DescriptorFile\ncreateType="monolithicFlat"\nRW 1 FLAT "/etc/passwd" 0\n'), 'vmdk'],
  ] as const;
  for (const [head, format] of heads) {
    const pieces = await piecesOf(t, head.subarray(0, mebibyte), format);
    const last = pieces.pop() ?? 0;
    const before = pieces.reduce((sum, piece) => sum + piece, 0);
    assert.ok(before < mebibyte, `${before} bytes of a ${format}, and it was not refused`);
    // The last piece is all that Node had received when it was asked; a GiB was on its way.
    assert.ok(last <= 8 * mebibyte, `${last} bytes at once of a ${format}`);
  }
});

/** How many bytes are read to judge a file besides its head, and the largest piece of them. */
async function readsOf(path: string, format: string): Promise<{ total: number; largest: number }> {
  const reads = { total: 0, largest: 0 };
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const read = async (offset: number, length: number): Promise<Buffer> => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
      reads.total += bytesRead;
      reads.largest = Math.max(reads.largest, bytesRead);
      return buffer.subarray(0, bytesRead);
    };
    const { buffer, bytesRead } = await file.read(Buffer.alloc(maxHeadBytes), 0, maxHeadBytes, 0);
    const head = { bytes: buffer.subarray(0, bytesRead), fileSizeBytes: size };
    const { verdict, reasons } = await inspectImage({ head, sizeBytes: size, read }, format, limits);
    assert.equal(verdict, 'accepted', reasons.join('; '));
  } finally {
    await file.close();
  }
  return reads;
}

test('a disk of 256 MiB costs less than a MiB besides its head, in most formats', async () => {
  const disk = join(workshop.folder, 'large.raw');
  const file = await open(disk, 'w');
  for (let at = 0; at < 256; at += 1) await file.write(Buffer.alloc(2 ** 16, at + 1), 0, 2 ** 16, at * mebibyte);
  await file.truncate(256 * mebibyte);
  await file.close();
  const path = join(workshop.folder, 'large.image');
  for (const [kind, { format, args }] of Object.entries(kinds)) {
    // Of small clusters there are more, and so of pointers to them; of large ones each table is 2 MiB long.
    if (format === 'qed' || /small|large/.test(kind)) continue;
    await runProgram('qemu-img', ['convert', '-f', 'raw', ...args, disk, path], { timeoutMs });
    const { total, largest } = await readsOf(path, format);
    assert.ok(total <= mebibyte && largest <= maxReadBytes, `${kind}: ${total} bytes`);
  }
  assert.deepEqual(await readsOf(disk, 'raw'), { total: 0, largest: 0 });
});
