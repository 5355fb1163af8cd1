import { crc32c } from '../../../hypervisor/image-inspector/crc32c.ts';
import { type Edit, refused } from './refused-image.ts';

const vhdxHeaders =
  (edit: (header: Buffer) => void): Edit =>
  (bytes) => {
    for (const at of [65_536, 131_072]) {
      const header = bytes.subarray(at, at + 4096);
      edit(header);
      header.writeUInt32LE(crc32c(header, 4), 4);
    }
  };
const vhdxRegions =
  (edit: (table: Buffer) => void): Edit =>
  (bytes) => {
    const table = bytes.subarray(196_608, 196_608 + 65_536);
    edit(table);
    table.writeUInt32LE(crc32c(table, 4), 4);
  };
const metadata = (bytes: Buffer) => bytes.indexOf('metadata', 2 ** 20);
const table = (bytes: Buffer) => Number(bytes.readBigUInt64LE(196_608 + 32));

refused('vhdx dynamic', {
  'without a valid header': {
    edit: (b) => {
      b.writeUInt8(1, 65_600);
      b.writeUInt8(1, 131_136);
    },
    reason: /headers are damaged/,
  },
  'that was not closed': { edit: vhdxHeaders((b) => b.writeUInt8(1, 48)), reason: /not closed properly/ },
  'with an unknown log': { edit: vhdxHeaders((b) => b.writeUInt8(1, 64)), reason: /log is of an unknown version/ },
  'with a misplaced log': { edit: vhdxHeaders((b) => b.writeUInt32LE(512, 72)), reason: /log is misplaced/ },
  'with a damaged region table': { edit: (b) => b.writeUInt8(9, 196_700), reason: /region table is damaged/ },
  'with too many regions': { edit: vhdxRegions((b) => b.writeUInt32LE(2048, 8)), reason: /2048 entries/ },
  'without its block table': { edit: vhdxRegions((b) => b.writeUInt8(1, 16)), reason: /lacks the block table/ },
  'with regions that overlap': { edit: vhdxRegions((b) => b.copy(b, 32, 64, 72)), reason: /overlap/ },
  'with a region beyond its end': { edit: vhdxRegions((b) => b.writeUInt8(1, 37)), reason: /a region ends/ },
  'that needs an unknown region': {
    edit: vhdxRegions((b) => {
      b.writeUInt8(1, 16);
      b.writeUInt8(1, 44);
    }),
    reason: /unknown region/,
  },
  'without metadata': { edit: (b) => b.write('x', metadata(b)), reason: /metadata is damaged/, inHead: false },
  'with too much metadata': {
    edit: (b) => b.writeUInt16LE(2048, metadata(b) + 10),
    reason: /2048 entries/,
    inHead: false,
  },
  'that lacks an item': { edit: (b) => b.writeUInt8(1, metadata(b) + 32), reason: /lacks an item/, inHead: false },
  'that needs unknown metadata': {
    edit: (b) => {
      b.writeUInt8(1, metadata(b) + 32);
      b.writeUInt8(4, metadata(b) + 56);
    },
    reason: /unknown metadata/,
    inHead: false,
  },
  'with a parent': { edit: (b) => b.writeUInt8(2, metadata(b) + 65_536 + 4), reason: /parent/, inHead: false },
  'with blocks of an odd size': {
    edit: (b) => b.writeUInt8(1, metadata(b) + 65_536),
    reason: /blocks are of/,
    inHead: false,
  },
  'of a huge size': { edit: (b) => b.writeUInt8(1, metadata(b) + 65_536 + 15), reason: /64 TiB/, inHead: false },
  'with a block beyond its end': {
    edit: (b) => b.writeUInt8(1, table(b) + 6),
    reason: /1 blocks lie/,
    inHead: false,
  },
  'with a block over its table': {
    edit: (b) => b.writeBigUInt64LE(BigInt(table(b)) + 6n, table(b)),
    reason: /overlap its metadata/,
    inHead: false,
  },
  'with a block of a parent': {
    edit: (b) => b.writeUInt8(7, table(b)),
    reason: /image with a parent/,
    inHead: false,
  },
});
