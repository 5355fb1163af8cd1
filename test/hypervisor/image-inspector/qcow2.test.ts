import { refused } from './refused-image.ts';

const l1Entry = (bytes: Buffer) => Number(bytes.readBigUInt64BE(40));
const firstL2 = (bytes: Buffer) => Number(bytes.readBigUInt64BE(l1Entry(bytes)) & 0x00fffffffffffe00n);

function extension(bytes: Buffer, kind: number, length: number) {
  const at = bytes.readUInt32BE(100);
  bytes.writeUInt32BE(kind, at);
  bytes.writeUInt32BE(length, at + 4);
  bytes.fill(0x61, at + 8, at + 8 + Math.min(length, 16));
}

refused('qcow2', {
  'of version 1': { edit: (b) => b.writeUInt32BE(1, 4), reason: /version 1/ },
  'of version 4': { edit: (b) => b.writeUInt32BE(4, 4), reason: /version 4/ },
  'with a backing file': {
    edit: (b) => {
      b.writeUInt32BE(1000, 12);
      b.writeUInt32BE(8, 16);
    },
    reason: /backing file/,
  },
  'with a backing file of no length': { edit: (b) => b.writeUInt32BE(1000, 12), reason: /backing file/ },
  'with clusters that are too small': { edit: (b) => b.writeUInt32BE(8, 20), reason: /clusters are of 2\^8/ },
  'with clusters that are too large': { edit: (b) => b.writeUInt32BE(22, 20), reason: /clusters are of 2\^22/ },
  'with a disk larger than its L1 table': {
    edit: (b) => b.writeUInt32BE(1, 24),
    reason: /L1 table has 1 entries/,
  },
  'with AES encryption': { edit: (b) => b.writeUInt32BE(1, 32), reason: /encrypted/ },
  'with LUKS encryption': { edit: (b) => b.writeUInt32BE(2, 32), reason: /encrypted/ },
  'with an L1 table of 64 MiB': { edit: (b) => b.writeUInt32BE(2 ** 23, 36), reason: /L1 table is larger/ },
  'with an L1 table beyond its end': { edit: (b) => b.writeUInt32BE(1, 40), reason: /the L1 table ends/ },
  'with an L1 table off its cluster': {
    edit: (b) => b.writeUInt32BE(l1Entry(b) + 8, 44),
    reason: /middle of a cluster/,
  },
  'with the place of a snapshot table off its cluster, and no snapshots': {
    edit: (b) => b.writeUInt32BE(1, 68),
    reason: /the snapshot table begins at byte 1,/,
  },
  'with a refcount table beyond its end': {
    edit: (b) => b.writeUInt32BE(1, 48),
    reason: /the refcount table ends/,
  },
  'with a huge refcount table': {
    edit: (b) => b.writeUInt32BE(0xffffffff, 56),
    reason: /refcount table is larger/,
  },
  'without a refcount table': { edit: (b) => b.writeUInt32BE(0, 56), reason: /no refcount table/ },
  'with too many snapshots': { edit: (b) => b.writeUInt32BE(70_000, 60), reason: /70000 snapshots/ },
  'with snapshots beyond its end': {
    edit: (b) => {
      b.writeUInt32BE(1, 60);
      b.writeUInt32BE(1, 64);
    },
    reason: /snapshot table ends/,
  },
  'with an unknown feature': { edit: (b) => b.writeUInt8(0x20, 79), reason: /features that are unknown/ },
  'with an unknown high feature': { edit: (b) => b.writeUInt8(0x80, 72), reason: /features that are unknown/ },
  'with its data in another file': { edit: (b) => b.writeUInt8(4, 79), reason: /data is in another file/ },
  'that is marked as damaged': { edit: (b) => b.writeUInt8(2, 79), reason: /marked as damaged/ },
  'with extended L2 entries': { edit: (b) => b.writeUInt8(16, 79), reason: /extended L2/ },
  'with a wrong compression type': { edit: (b) => b.writeUInt8(1, 104), reason: /compression/ },
  'with impossible reference counts': { edit: (b) => b.writeUInt32BE(7, 96), reason: /reference counts/ },
  'with a header that is too short': { edit: (b) => b.writeUInt32BE(96, 100), reason: /header says it is 96/ },
  'with a header that is too long': { edit: (b) => b.writeUInt32BE(2 ** 20, 100), reason: /header says it is/ },
  'with an endless extension': { edit: (b) => extension(b, 0x12345678, 0xffffffff), reason: /extension is longer/ },
  'that names a data file': { edit: (b) => extension(b, 0x44415441, 16), reason: /names another file/ },
  'with an encryption header': { edit: (b) => extension(b, 0x0537be77, 16), reason: /encrypted/ },
  'with a bitmap directory of no shape': { edit: (b) => extension(b, 0x23852875, 8), reason: /bitmaps extension/ },
  'with bitmaps beyond its end': { edit: (b) => extension(b, 0x23852875, 24), reason: /bitmap/ },
  'with an L2 table beyond its end': {
    edit: (b) => b.writeBigUInt64BE(2n ** 50n, l1Entry(b)),
    reason: /1 L2 tables lie beyond/,
    inHead: false,
  },
  'with an L2 table off its cluster': {
    edit: (b) => b.writeBigUInt64BE(BigInt(firstL2(b) + 512), l1Entry(b)),
    reason: /L1 table lead to the middle/,
    inHead: false,
  },
  'with data beyond its end': {
    edit: (b) => b.writeBigUInt64BE(2n ** 40n, firstL2(b) + 16),
    reason: /1 clusters lie beyond/,
    inHead: false,
  },
  'with compressed data beyond its end': {
    edit: (b) => b.writeBigUInt64BE((2n ** 62n) | (2n ** 40n), firstL2(b)),
    reason: /1 clusters lie beyond/,
    inHead: false,
  },
  'with data off its cluster': {
    edit: (b) => b.writeBigUInt64BE(2n ** 17n + 512n, firstL2(b)),
    reason: /L2 tables lead to the middle/,
    inHead: false,
  },
});

refused('qcow2 of small clusters', {
  'with one L2 table twice': {
    edit: (b) => b.copy(b, l1Entry(b) + 8, l1Entry(b), l1Entry(b) + 8),
    reason: /same L2 table/,
    inHead: false,
  },
});

refused('qcow2 version 2', {
  'with a zero flag': { edit: (b) => b.writeUInt8(1, firstL2(b) + 15), reason: /zero clusters/, inHead: false },
});
