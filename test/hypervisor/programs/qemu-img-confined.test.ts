import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, readlink, rm, truncate, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EverbootFailure, type FailureCode } from '../../../domain/failures.ts';
import type { ImageDescription } from '../../../domain/image.ts';
import type { WorkControl } from '../../../domain/step-progress.ts';
import { judgeImageFile } from '../../../hypervisor/image-store/ingest/judge-image-file.ts';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { convertImage, imageInfo } from '../../../hypervisor/programs/qemu-img.ts';

const mebibyte = 2 ** 20;
const gibibyte = 2 ** 30;
const untrusted = { untrusted: true };
const control: WorkControl = { signal: new AbortController().signal, onProgress: () => undefined };
const sizes = { virtualSizeBytes: mebibyte, heldLocks: [] };

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-confined-'));
});
after(() => rm(folder, { recursive: true, force: true }));

function at(name: string): string {
  return join(folder, name);
}

function failsWith(...codes: FailureCode[]) {
  return (error: unknown) => error instanceof EverbootFailure && codes.includes(error.code);
}

/** The one process whose program and arguments these are, as soon as it runs. */
async function processOf(program: string, argument: string): Promise<number> {
  for (;;) {
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
      if (words[0] === program && words.includes(argument)) return Number(pid);
    }
    await sleep(10);
  }
}

/** The soft and the hard limit that the kernel keeps for a process. */
async function limitsOf(pid: number, ...names: string[]): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/limits`, 'utf8');
  return names.map((name) => (new RegExp(`^${name} +(\\S+) +(\\S+)`, 'm').exec(text) ?? []).slice(1).join(' '));
}

async function processGroupOf(pid: number): Promise<number> {
  const afterName = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1] ?? '';
  return Number(afterName.split(' ')[2]);
}

async function isGone(pid: number): Promise<void> {
  await assert.rejects(readFile(`/proc/${pid}/cmdline`), { code: 'ENOENT' });
}

function imageAt(path: string, format: 'qcow2' | 'vhd'): ImageDescription {
  const reference = { file: path, digest: `sha256:${'0'.repeat(64)}`, format } as const;
  const unknown = { sizeBytes: null, digest: null, minDiskGb: 0, minRamMb: 0, properties: {} };
  return { reference, title: 'hostile', format, ...unknown };
}

test('qemu-img runs under its limits, alone and without a network, and is killed with its step', async () => {
  // It waits in front of an empty pipe, so that it is looked at in the middle of its work.
  const pipe = at('pipe');
  execFileSync('mkfifo', [pipe]);
  const names = ['Max address space', 'Max cpu time', 'Max file size', 'Max core file size'];
  const steps = {
    look: (own: WorkControl) => imageInfo(pipe, 'raw', untrusted, own),
    conversion: (own: WorkControl) =>
      convertImage({ source: pipe, sourceFormat: 'raw', destination: at('out.raw'), ...sizes }, own),
  };
  const limits: Record<string, string[]> = {};
  for (const [name, step] of Object.entries(steps)) {
    const stop = new AbortController();
    const outcome = assert.rejects(step({ ...control, signal: stop.signal }), /^Error: cancelled$/);
    const pid = await processOf('qemu-img', pipe);
    limits[name] = await limitsOf(pid, ...names);
    assert.equal(await processGroupOf(pid), pid, 'it leads a process group of its own');
    const networks = await Promise.all([pid, 'self'].map((each) => readlink(`/proc/${each}/ns/net`)));
    assert.notEqual(networks[0], networks[1], 'its network is not the worker’s');
    stop.abort(new Error('cancelled'));
    await outcome;
    await isGone(pid);
  }
  const [one, two] = [gibibyte, 2 * gibibyte];
  assert.deepEqual(limits.look, [`${one} ${one}`, '30 30', 'unlimited unlimited', '0 0']);
  const [memory, cpu, fileSize, core] = limits.conversion ?? [];
  assert.deepEqual([memory, fileSize, core], [`${two} ${two}`, `${mebibyte} ${mebibyte}`, '0 0']);
  assert.match(cpu ?? '', /^\d+ \d+$/);
});

/** Listens as a server of QEMU's network drivers would, and counts who comes. */
async function listener(t: TestContext) {
  let count = 0;
  const server = createServer((socket) => {
    count += 1;
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { port: (server.address() as AddressInfo).port, visitors: () => count };
}

test('no image makes qemu-img reach a server, neither where it is judged nor where it is converted', async (t) => {
  const { port, visitors } = await listener(t);
  const nbd = { driver: 'nbd', server: { type: 'inet', host: '127.0.0.1', port: `${port}` } };
  const places = [
    `nbd://127.0.0.1:${port}/x`,
    `nbd:127.0.0.1:${port}`,
    `http://127.0.0.1:${port}/x`,
    `json:${JSON.stringify({ driver: 'raw', file: nbd })}`,
  ];
  for (const place of places) {
    const create = ['create', '-q', '-u', '-f', 'qcow2', '-F', 'raw', '-b', place, at('lured'), '1M'];
    await runProgram('qemu-img', create, { timeoutMs: 120_000 });
    const limits = { maxVirtualSizeBytes: gibibyte, heldLocks: [] };
    await assert.rejects(
      judgeImageFile(at('lured'), imageAt(at('lured'), 'qcow2'), limits, control),
      failsWith('ImageUnacceptable'),
      place,
    );
    // What our own inspector would let through, if it were wrong.
    await imageInfo(at('lured'), 'qcow2', untrusted, control);
    const conversion = { source: at('lured'), sourceFormat: 'qcow2', destination: at('lured.raw'), ...sizes };
    await assert.rejects(convertImage(conversion, control), failsWith('ImageUnacceptable'), place);
  }
  assert.equal(visitors(), 0);
  // Not so with a bare qemu-img: the lure works.
  await new Promise((resolve) => {
    execFile('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', at('lured'), at('lured.raw')], resolve);
  });
  assert.ok(visitors() > 0);
});

test('a raw disk whose name or first bytes are a network address stays a raw disk', async (t) => {
  const { port, visitors } = await listener(t);
  const path = at('json:{}');
  await writeFile(path, `json:${JSON.stringify({ driver: 'nbd', host: '127.0.0.1', port: `${port}` })}`);
  await truncate(path, mebibyte);
  assert.equal((await imageInfo(path, 'raw', untrusted, control)).virtualSizeBytes, mebibyte);
  assert.equal(visitors(), 0);
});

test('an image that makes qemu-img say more than anyone reads is ImageUnacceptable', async () => {
  const path = at('talkative.qcow2');
  await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1M'], { timeoutMs: 120_000 });
  await writeFile(path, withSnapshots(await readFile(path), 20_000));
  const limits = { maxVirtualSizeBytes: gibibyte, heldLocks: [] };
  await assert.rejects(judgeImageFile(path, imageAt(path, 'qcow2'), limits, control), (error: unknown) => {
    assert.ok(failsWith('ImageUnacceptable')(error), String(error));
    assert.match((error as Error).message, /printed more than 1048576 bytes/);
    return true;
  });
});

/** A qcow2 with so many internal snapshots, each of the same first table as the disk itself. */
function withSnapshots(image: Buffer, count: number): Buffer {
  const record = Buffer.alloc(72);
  image.copy(record, 0, 40, 48);
  image.copy(record, 8, 36, 40);
  for (const place of [12, 14]) record.writeUInt16BE(6, place);
  record.writeUInt32BE(16, 36);
  record.writeBigUInt64BE(BigInt(mebibyte), 48);
  const offset = Math.ceil(image.length / 65_536) * 65_536;
  const made = Buffer.alloc(offset + Math.ceil((count * record.length) / 65_536) * 65_536);
  image.copy(made);
  for (let index = 0; index < count; index++) {
    record.write(String(index).padStart(6, '0').repeat(2), 56, 'latin1');
    record.copy(made, offset + index * record.length);
  }
  made.writeUInt32BE(count, 60);
  made.writeBigUInt64BE(BigInt(offset), 64);
  return made;
}

test('an image of which qemu-img sees another size than we is refused', async () => {
  const [disk, path] = [at('disk.raw'), at('azure.vhd')];
  await writeFile(disk, '');
  await writeFile(disk, Buffer.alloc(6 * mebibyte, 1));
  const convert = ['convert', '-f', 'raw', '-O', 'vpc', '-o', 'subformat=fixed,force_size=on', disk, path];
  await runProgram('qemu-img', convert, { timeoutMs: 120_000 });
  const bytes = await readFile(path);
  const footer = bytes.subarray(-512);
  // Written by Azure, with a geometry that is smaller than the disk: QEMU goes by the size since its version 10 only.
  footer.write('wa\0\0', 28, 'latin1');
  footer.writeUInt16BE(10, 56);
  footer.writeUInt8(16, 58);
  footer.writeUInt8(17, 59);
  footer.writeUInt32BE(0, 64);
  footer.writeUInt32BE(~footer.reduce((sum, byte) => sum + byte, 0) >>> 0, 64);
  await writeFile(path, bytes);
  const limits = { maxVirtualSizeBytes: gibibyte, heldLocks: [] };
  const { virtualSizeBytes } = await imageInfo(path, 'vhd', untrusted, control);
  const judged = judgeImageFile(path, imageAt(path, 'vhd'), limits, control);
  if (virtualSizeBytes === 6 * mebibyte) assert.equal((await judged).virtualSizeBytes, virtualSizeBytes);
  else await assert.rejects(judged, /qemu-img sees \d+ bytes, its header says 6291456/);
});

test('a program that could not start a thread is the host’s failure, and tried again', async () => {
  const words = 'qemu: qemu_thread_create: Resource temporarily unavailable';
  const running = runProgram('sh', ['-c', `echo '${words}' >&2; kill -ABRT $$`], { timeoutMs: 120_000 });
  await assert.rejects(running, failsWith('HostIoError'));
});

test('a program that prints without end is ended, and what is kept of it is bounded', async () => {
  const marker = `everboot-${process.pid}`;
  const running = runProgram('yes', [marker], { timeoutMs: 60_000, maxOutputBytes: 64 * 1024 });
  await assert.rejects(running, (error: unknown) => {
    assert.ok(error instanceof EverbootFailure && error.code === 'ProgramFailed');
    assert.ok(error.message.length < 1000, `${error.message.length} characters`);
    assert.match(error.message, /more than 65536 bytes/);
    return true;
  });
  const complaining = runProgram('sh', ['-c', `yes ${marker} >&2`], { timeoutMs: 60_000, maxOutputBytes: 64 * 1024 });
  await assert.rejects(complaining, failsWith('ProgramFailed'));
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    assert.ok(!(words[0] === 'yes' && words.includes(marker)), 'none of them prints on');
  }
});
