import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { EverbootFailure, type FailureCode } from '../../../domain/failures.ts';
import type { StepProgress, WorkControl } from '../../../domain/step-progress.ts';
import { convertImage, createOverlay, growImage, imageInfo } from '../../../hypervisor/programs/qemu-img.ts';

const mebibyte = 2 ** 20;
const control: WorkControl = { signal: new AbortController().signal, onProgress: () => undefined };
const untrusted = { untrusted: true };

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-qemu-img-'));
  run('sh', ['-c', `dd if=/dev/urandom of=${at('plain.raw')} bs=1M count=8 status=none`]);
  await truncate(at('plain.raw'), 64 * mebibyte);
  for (const format of ['qcow2', 'vmdk', 'vpc', 'vdi', 'vhdx']) {
    const size = format === 'vpc' ? ['-o', 'force_size'] : [];
    run('qemu-img', ['convert', '-f', 'raw', '-O', format, ...size, at('plain.raw'), at(`plain.${format}`)]);
  }
});
after(async () => {
  await rm(folder, { recursive: true, force: true });
});

function at(name: string): string {
  return join(folder, name);
}

function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function failsWith(code: FailureCode) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code;
}

function conversion(source: string, sourceFormat: string, destination: string) {
  const sizes = { virtualSizeBytes: 64 * mebibyte, heldLocks: [] };
  return { source: at(source), sourceFormat, destination: at(destination), ...sizes };
}

test('the size of an image is reported, whatever its format', async () => {
  for (const [format, file] of [
    ['raw', 'plain.raw'],
    ['qcow2', 'plain.qcow2'],
    ['vmdk', 'plain.vmdk'],
    ['vhd', 'plain.vpc'],
    ['vdi', 'plain.vdi'],
    ['vhdx', 'plain.vhdx'],
  ] as const) {
    const info = await imageInfo(at(file), format, untrusted, control);
    assert.equal(info.virtualSizeBytes, 64 * mebibyte, format);
    assert.equal(info.backingFile, undefined);
    assert.equal(info.dataFile, undefined, format);
    assert.equal(info.isEncrypted, false);
    assert.equal(info.isCorrupt, false);
  }
});

test('a raw disk that looks like a qcow2 is a raw disk', async () => {
  run('qemu-img', ['create', '-q', '-f', 'qcow2', at('pretender'), '1G']);
  await truncate(at('pretender'), mebibyte);
  const info = await imageInfo(at('pretender'), 'raw', untrusted, control);
  assert.equal(info.format, 'raw');
  assert.equal(info.virtualSizeBytes, mebibyte);
});

test('files that an image refers to are reported, and not opened', async () => {
  const overlay = ['create', '-q', '-u', '-f', 'qcow2', '-F', 'raw', '-b', '/etc/nowhere', at('overlay'), '1M'];
  run('qemu-img', overlay);
  assert.equal((await imageInfo(at('overlay'), 'qcow2', untrusted, control)).backingFile, '/etc/nowhere');
  const split = ['create', '-q', '-f', 'qcow2', '-o', `data_file=${at('data')}`, at('split'), '1M'];
  run('qemu-img', split);
  assert.equal((await imageInfo(at('split'), 'qcow2', untrusted, control)).dataFile, at('data'));
  run('qemu-img', ['create', '-q', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', at('flat.vmdk'), '1M']);
  assert.equal((await imageInfo(at('flat.vmdk'), 'vmdk', untrusted, control)).dataFile, at('flat-flat.vmdk'));
});

test('an image that is not of its format is ImageUnacceptable when a tenant made it', async () => {
  await assert.rejects(imageInfo(at('plain.raw'), 'qcow2', untrusted, control), failsWith('ImageUnacceptable'));
  await assert.rejects(imageInfo(at('plain.raw'), 'qcow2', {}, control), failsWith('ProgramFailed'));
  await assert.rejects(imageInfo(at('plain.raw'), 'parallels', untrusted, control), failsWith('ImageUnacceptable'));
});

test('a size that no disk can have is ImageUnacceptable', async () => {
  run('qemu-img', ['create', '-q', '-f', 'vdi', at('huge.vdi'), '1M']);
  const header = await readFile(at('huge.vdi'));
  // The disk's size in a VDI header, in bytes.
  header.writeBigUInt64LE(2n ** 62n, 0x170);
  await writeFile(at('huge.vdi'), header);
  await assert.rejects(imageInfo(at('huge.vdi'), 'vdi', untrusted, control), failsWith('ImageUnacceptable'));
});

test('a file that is missing is not the image’s fault', async () => {
  await assert.rejects(imageInfo(at('missing'), 'raw', untrusted, control), failsWith('ProgramFailed'));
});

test('every format becomes the same raw disk, with holes where it is empty', async () => {
  for (const [format, file] of [
    ['qcow2', 'plain.qcow2'],
    ['vmdk', 'plain.vmdk'],
    ['vhd', 'plain.vpc'],
    ['vdi', 'plain.vdi'],
    ['vhdx', 'plain.vhdx'],
  ] as const) {
    await convertImage(conversion(file, format, `from-${format}.raw`), control);
    run('cmp', [at('plain.raw'), at(`from-${format}.raw`)]);
    const { blocks } = await stat(at(`from-${format}.raw`));
    assert.ok(blocks * 512 <= 9 * mebibyte, `${format}: ${blocks * 512} bytes are allocated`);
  }
});

test('a conversion reports its progress, up to the whole', async () => {
  const reports: StepProgress[] = [];
  const onProgress = (report: StepProgress) => void reports.push(report);
  await convertImage(conversion('plain.qcow2', 'qcow2', 'progress.raw'), { ...control, onProgress });
  assert.deepEqual(reports.at(-1), { doneBytes: 64 * mebibyte, totalBytes: 64 * mebibyte });
  const done = reports.map(({ doneBytes }) => doneBytes);
  assert.deepEqual(
    done,
    done.toSorted((a, b) => a - b),
  );
});

test('an image whose data cannot be read is ImageUnacceptable', async () => {
  const tables = await open(at('plain.qcow2'), 'r');
  const head = Buffer.alloc(64);
  await tables.read(head, 0, head.length, 0);
  await tables.close();
  // The first entry of the first-level table is led to an address that no table can have.
  const broken = await readFile(at('plain.qcow2'));
  broken.writeBigUInt64BE(0x8000_0000_0000_0200n, Number(head.readBigUInt64BE(40)));
  await writeFile(at('broken.qcow2'), broken);
  const converting = convertImage(conversion('broken.qcow2', 'qcow2', 'broken.raw'), control);
  await assert.rejects(converting, failsWith('ImageUnacceptable'));
});

test('a conversion never writes more than the size that was judged', async () => {
  const small = { ...conversion('plain.qcow2', 'qcow2', 'bomb.raw'), virtualSizeBytes: mebibyte };
  await assert.rejects(convertImage(small, control), failsWith('ImageUnacceptable'));
  assert.ok((await stat(at('bomb.raw'))).size <= mebibyte);
});

test('a conversion that cannot write is the host’s failure', async () => {
  const nowhere = { ...conversion('plain.qcow2', 'qcow2', 'x'), destination: at('missing/x.raw') };
  await assert.rejects(convertImage(nowhere, control), failsWith('ProgramFailed'));
});

test('an overlay has its backing file’s format written in it, and its final size at once', async () => {
  const overlay = { path: at('o.qcow2'), backingFile: at('plain.raw'), backingFormat: 'raw', heldLocks: [] } as const;
  await createOverlay({ ...overlay, sizeBytes: 100 * mebibyte, clusterSizeBytes: 131072 }, control);
  const info = JSON.parse(run('qemu-img', ['info', '-f', 'qcow2', '--output=json', overlay.path]));
  assert.equal(info['virtual-size'], 100 * mebibyte);
  assert.equal(info['backing-filename-format'], 'raw');
  assert.equal(info['cluster-size'], 131072);
  run('qemu-img', ['check', '-q', '-f', 'qcow2', overlay.path]);
});

test('a disk grows and never shrinks', async () => {
  await writeFile(at('grow.raw'), 'x');
  await truncate(at('grow.raw'), mebibyte);
  run('qemu-img', ['create', '-q', '-f', 'qcow2', at('grow.qcow2'), '1M']);
  for (const format of ['raw', 'qcow2'] as const) {
    const disk = { path: at(`grow.${format}`), format, heldLocks: [] };
    await growImage({ ...disk, sizeBytes: 2 * mebibyte }, control);
    assert.equal((await imageInfo(disk.path, format, {}, control)).virtualSizeBytes, 2 * mebibyte);
    await assert.rejects(growImage({ ...disk, sizeBytes: mebibyte }, control), failsWith('ProgramFailed'));
    assert.equal((await imageInfo(disk.path, format, {}, control)).virtualSizeBytes, 2 * mebibyte);
  }
});
