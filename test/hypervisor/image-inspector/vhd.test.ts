import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { inspect, openWorkshop, type Workshop } from './made-images.ts';
import { type Edit, refused } from './refused-image.ts';

let workshop: Workshop;
before(async () => {
  workshop = await openWorkshop();
});
after(() => workshop.close());

function sum(bytes: Buffer, at: number) {
  bytes.writeUInt32BE(0, at);
  bytes.writeUInt32BE(~bytes.reduce((total, byte) => total + byte, 0) >>> 0, at);
}
const footer =
  (edit: (bytes: Buffer) => void): Edit =>
  (bytes) => {
    edit(bytes);
    sum(bytes.subarray(0, 512), 64);
  };
const dynamicHeader =
  (edit: (bytes: Buffer) => void): Edit =>
  (bytes) => {
    const header = bytes.subarray(512, 1536);
    edit(header);
    sum(header, 36);
  };

refused('vhd dynamic', {
  'with a wrong checksum': { edit: (b) => b.writeUInt8(7, 100), reason: /checksum of its footer/ },
  'with a parent': { edit: footer((b) => b.writeUInt32BE(4, 60)), reason: /parent/ },
  'of an unknown type': { edit: footer((b) => b.writeUInt32BE(9, 60)), reason: /type 9/ },
  'that says it is fixed': { edit: footer((b) => b.writeUInt32BE(2, 60)), reason: /fixed size/ },
  'that is too large': {
    edit: footer((b) => {
      b.write('win ', 28);
      b.writeUInt32BE(2 ** 20, 48);
    }),
    reason: /2040 GiB/,
  },
  'without a footer': { edit: (b) => b.subarray(0, b.length - 512), reason: /without its footer/, inHead: false },
  'with its header beyond its end': {
    edit: footer((b) => b.writeUInt32BE(1, 16)),
    reason: /dynamic disk header ends/,
    inHead: false,
  },
  'without its header': { edit: dynamicHeader((b) => b.write('x')), reason: /no dynamic disk header/, inHead: false },
  'with a parent’s id': { edit: dynamicHeader((b) => b.writeUInt8(1, 40)), reason: /parent/, inHead: false },
  'with a parent’s name': { edit: dynamicHeader((b) => b.writeUInt8(65, 65)), reason: /parent/, inHead: false },
  'with blocks of no size': {
    edit: dynamicHeader((b) => b.writeUInt32BE(0, 32)),
    reason: /blocks are of 0/,
    inHead: false,
  },
  'with too few blocks': { edit: dynamicHeader((b) => b.writeUInt32BE(1, 28)), reason: /too small/, inHead: false },
  'with a huge table': {
    edit: dynamicHeader((b) => b.writeUInt32BE(2 ** 31, 28)),
    reason: /larger than/,
    inHead: false,
  },
  'with its table beyond its end': {
    edit: dynamicHeader((b) => b.writeUInt32BE(1, 16)),
    reason: /block table ends/,
    inHead: false,
  },
  'with a block beyond its end': {
    edit: (b) => b.writeUInt32BE(2 ** 30, 1536),
    reason: /1 blocks lie/,
    inHead: false,
  },
});

const end = (edit: (bytes: Buffer) => void): Edit => {
  return (bytes) => {
    edit(bytes.subarray(-512));
    sum(bytes.subarray(-512), 64);
  };
};

test('a fixed VHD whose footer is wrong, or that is cut in its middle, is refused', async () => {
  for (const [edit, reason] of [
    [(b: Buffer) => b.subarray(512), /the disk ends/],
    [(b: Buffer) => b.subarray(0, b.length - 512), /without the footer/],
    [(b: Buffer) => b.writeUInt8(1, b.length - 1), /checksum/],
    [end((b) => b.writeUInt32BE(4, 60)), /parent/],
    [end((b) => b.writeUInt32BE(3, 60)), /lacks the copy/],
    [end((b) => b.writeUInt16BE(0xffff, 56)), /the disk ends/],
    [end((b) => b.writeUInt16BE(0, 56)), /no bytes/],
  ] as const) {
    const { verdict, reasons } = await inspect(await workshop.change('vhd fixed', edit), 'vhd');
    assert.equal(verdict, 'refused');
    assert.match(reasons.join('; '), reason);
  }
});
