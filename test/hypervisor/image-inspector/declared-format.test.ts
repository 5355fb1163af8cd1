import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { judgeHead } from '../../../hypervisor/image-inspector/judge-head.ts';
import { inspect, kinds, limits, openWorkshop, sampleDisk, type Workshop } from './made-images.ts';
import { refused } from './refused-image.ts';

let workshop: Workshop;
before(async () => {
  workshop = await openWorkshop();
});
after(() => workshop.close());

refused('qed', { 'as it is': { edit: () => {}, reason: /format qed are not accepted/ } });

test('every reason is reported', async () => {
  const path = await workshop.change('qcow2', (bytes) => {
    bytes.writeUInt32BE(1000, 12);
    bytes.writeUInt32BE(2, 32);
    bytes.writeUInt8(4, 79);
  });
  assert.equal((await inspect(path, 'raw')).reasons.length, 4);
});

test('an image that is declared to be of another format is refused, whatever it is', async () => {
  const kindsOfFormats = ['qcow2', 'vmdk monolithicSparse', 'vhd dynamic', 'vhdx dynamic', 'vdi dynamic'] as const;
  for (const kind of kindsOfFormats) {
    const path = await workshop.make(kind);
    const bytes = await readFile(path);
    for (const declared of ['raw', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso', 'ami', 'aki', 'ari', 'docker']) {
      if (declared === kinds[kind].format) continue;
      const { code, detectedFormat, reasons } = await inspect(path, declared);
      assert.deepEqual([code, detectedFormat], ['ImageUnacceptable', kinds[kind].format], `${kind} as ${declared}`);
      assert.match(reasons.join('; '), new RegExp(`declared as ${declared}|format ${declared} are not`));
      const head = () =>
        judgeHead(bytes.subarray(0, 2 ** 20), declared, 'web', { ...limits, fileSizeBytes: bytes.length });
      assert.throws(head, { code: 'ImageUnacceptable' });
    }
  }
  const raw = await workshop.write('raw.raw', sampleDisk());
  for (const declared of ['qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso']) {
    assert.equal((await inspect(raw, declared)).verdict, 'refused', declared);
  }
});

test('two formats in one file are refused', async () => {
  const path = await workshop.change('qcow2', (bytes) => {
    bytes.write('\x01CD001', 32_768, 'latin1');
  });
  for (const declared of ['qcow2', 'iso', 'raw', null]) {
    const { verdict, reasons } = await inspect(path, declared);
    assert.equal(verdict, 'refused');
    assert.match(reasons.join('; '), /several formats at once: qcow2, iso/);
  }
});

test('a text that names other files to read is no raw image', async () => {
  const texts = [
    '# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 20 FLAT "/etc/passwd" 0\n',
    `\n# a comment\nversion=1\n${'\0'.repeat(2000)}`,
    `# x\ncreateType="vmfs"\n${' '.repeat(70_000)}`,
  ];
  for (const text of texts) {
    const path = await workshop.write('descriptor', Buffer.from(text));
    for (const declared of ['raw', 'vmdk', null]) {
      const { verdict, detectedFormat } = await inspect(path, declared);
      assert.deepEqual([verdict, detectedFormat], ['refused', 'vmdk']);
    }
  }
});

test('a boot record that oslo.utils would not have is refused', async () => {
  const disk = (edit: (bytes: Buffer) => void) => {
    const bytes = sampleDisk();
    bytes.writeUInt16LE(0xaa55, 510);
    edit(bytes);
    return bytes;
  };
  for (const [edit, reason] of [
    [() => {}, /no partitions/],
    [
      (b: Buffer) => {
        b.writeUInt8(0x83, 450);
        b.writeUInt8(0x81, 446);
      },
      /boot flag/,
    ],
    [(b: Buffer) => b.writeUInt8(0xee, 450), /begin at block 1/],
    [
      (b: Buffer) => {
        b.writeUInt8(0xee, 450);
        b.writeUInt8(0x83, 466);
      },
      /beside the protective/,
    ],
  ] as const) {
    const { verdict, reasons } = await inspect(await workshop.write('boot-record', disk(edit)), 'raw');
    assert.equal(verdict, 'refused');
    assert.match(reasons.join('; '), reason);
  }
});

test('formats that nobody needs are refused', async () => {
  for (const [start, name] of [
    ['LUKS\xba\xbe\0\x01', 'luks'],
    ['WithoutFreeSpace', 'parallels'],
    ['Bochs Virtual HD Image', 'bochs'],
  ] as const) {
    const bytes = sampleDisk();
    bytes.write(start, 'latin1');
    const inspection = await inspect(await workshop.write(name, bytes), 'raw');
    assert.deepEqual([inspection.code, inspection.detectedFormat], ['ImageUnacceptable', name]);
  }
});
