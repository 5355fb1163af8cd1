import assert from 'node:assert/strict';
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inspectImageFile } from '../../../hypervisor/image-inspector/inspect-image-file.ts';
import { judgeHead } from '../../../hypervisor/image-inspector/judge-head.ts';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { inspect, type Kind, kinds, limits, openWorkshop, qemuSize, sampleDisk, type Workshop } from './made-images.ts';

let workshop: Workshop;
before(async () => {
  workshop = await openWorkshop();
});
after(() => workshop.close());

async function accepted(path: string, format: string, detected = format) {
  for (const declared of [format, null]) {
    const { reasons, verdict, code, detectedFormat, virtualSizeBytes } = await inspect(path, declared);
    assert.deepEqual(
      { reasons, verdict, code, detectedFormat },
      { reasons: [], verdict: 'accepted', code: null, detectedFormat: detected },
    );
    assert.equal(virtualSizeBytes, await qemuSize(path, format));
  }
  const bytes = await readFile(path);
  for (const fileSizeBytes of [bytes.length, null]) {
    judgeHead(bytes.subarray(0, 2 ** 20), format, 'image', { ...limits, fileSizeBytes });
  }
}

for (const [kind, { format }] of Object.entries(kinds)) {
  if (format === 'qed') continue;
  test(`a ${kind} is accepted, with the size that qemu-img sees`, async () => {
    await accepted(await workshop.make(kind as Kind), format);
  });
}

test('an empty disk of each format is accepted', async () => {
  for (const format of ['qcow2', 'vmdk', 'vpc', 'vhdx', 'vdi']) {
    const path = join(workshop.folder, `empty.${format}`);
    await runProgram('qemu-img', ['create', '-q', '-f', format, path, '3G'], { timeoutMs: 60_000 });
    await accepted(path, format === 'vpc' ? 'vhd' : format);
  }
});

test('a qcow2 with internal snapshots and bitmaps is accepted', async () => {
  const path = await workshop.change('qcow2', () => undefined);
  const qemuImg = (...args: string[]) => runProgram('qemu-img', args, { timeoutMs: 60_000 });
  await qemuImg('snapshot', '-c', 'before', path);
  await qemuImg('bitmap', '--add', path, 'backup');
  await accepted(path, 'qcow2');
});

test('a raw image is as large as its file, in whole sectors', async () => {
  const path = await workshop.write('odd.raw', sampleDisk().subarray(0, 1000));
  await accepted(path, 'raw');
  assert.equal((await inspect(path, 'raw')).virtualSizeBytes, 1024);
});

test('the names of Amazon’s formats stand for raw bytes', async () => {
  const path = await workshop.write('boot-file', sampleDisk().subarray(512));
  for (const format of ['ami', 'aki', 'ari']) {
    const { verdict, detectedFormat, declaredFormat } = await inspect(path, format);
    assert.deepEqual(
      { verdict, detectedFormat, declaredFormat },
      { verdict: 'accepted', detectedFormat: 'raw', declaredFormat: format },
    );
  }
});

test('a raw image with partitions is recognized by their table', async () => {
  for (const [label, detected] of [
    ['gpt', 'gpt'],
    ['dos', 'mbr'],
  ] as const) {
    const path = join(workshop.folder, `disk.${label}`);
    await writeFile(path, '');
    await truncate(path, 16 * 2 ** 20);
    await runProgram('sfdisk', ['--quiet', path], { timeoutMs: 60_000, input: `label: ${label}\n1M,4M\n,\n` });
    await accepted(path, 'raw', detected);
  }
});

test('a FAT file system and a Linux kernel are no partition tables', async () => {
  const fat = join(workshop.folder, 'fat.raw');
  await runProgram('mkfs.vfat', ['-C', fat, '4096'], { timeoutMs: 60_000 });
  await accepted(fat, 'raw');
  const kernel = sampleDisk();
  kernel.fill(0x5a, 0, 512);
  kernel.writeUInt16LE(0xaa55, 510);
  kernel.write('HdrS', 0x202, 'latin1');
  const path = await workshop.write('kernel', kernel);
  for (const format of ['aki', 'raw', null]) assert.deepEqual((await inspect(path, format)).reasons, []);
});

test('a CD is accepted as iso, also one that boots from a stick', async () => {
  const tree = join(workshop.folder, 'tree');
  const path = join(workshop.folder, 'cd.iso');
  await mkdir(tree);
  await writeFile(join(tree, 'file'), 'text');
  await runProgram('xorriso', ['-as', 'mkisofs', '-quiet', '-o', path, tree], { timeoutMs: 60_000 });
  await accepted(path, 'iso');
  const hybrid = await readFile(path);
  hybrid.writeUInt8(0x17, 446 + 4);
  hybrid.writeUInt16LE(0xaa55, 510);
  await accepted(await workshop.write('hybrid.iso', hybrid), 'iso');
});

test('the disk of a fixed VHD is as large as QEMU says, whoever made it', async () => {
  for (const creator of ['qemu', 'qem2', 'tap\0', 'd2v ', 'win ', 'CTXS', 'vpc ', 'vbox']) {
    const path = await workshop.change('vhd fixed', (bytes) => {
      const footer = bytes.subarray(-512);
      footer.write(creator, 28, 'latin1');
      // A geometry that is smaller than the disk.
      footer.writeUInt16BE(100, 56);
      footer.writeUInt32BE(0, 64);
      footer.writeUInt32BE(~footer.reduce((sum, byte) => sum + byte, 0) >>> 0, 64);
    });
    await accepted(path, 'vhd');
  }
});

test('a file that is not there is the file system’s error, and a folder or an empty file is refused', async () => {
  await assert.rejects(inspect(join(workshop.folder, 'absent'), 'raw'), { code: 'ENOENT' });
  const folder = await inspect(workshop.folder, null);
  assert.deepEqual([folder.verdict, folder.reasons], ['refused', ['it is not a regular file']]);
  const empty = await inspect(await workshop.write('empty', Buffer.alloc(0)), 'raw');
  assert.deepEqual([empty.verdict, empty.code, empty.fileSizeBytes], ['refused', 'ImageUnacceptable', 0]);
});

test('a disk that is too large is ImageTooLarge', async () => {
  for (const kind of ['qcow2', 'vmdk streamOptimized', 'vhd fixed', 'vhdx dynamic', 'vdi dynamic'] as const) {
    const inspection = await inspectImageFile(await workshop.make(kind), kinds[kind].format, {
      maxVirtualSizeBytes: 2 ** 20,
    });
    assert.deepEqual([inspection.verdict, inspection.code], ['refused', 'ImageTooLarge'], kind);
  }
});
