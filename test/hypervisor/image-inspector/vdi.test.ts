import { refused } from './refused-image.ts';

refused('vdi dynamic', {
  'of another version': { edit: (b) => b.writeUInt32LE(0x20000, 0x44), reason: /version 2\.0/ },
  'that is a difference': { edit: (b) => b.writeUInt32LE(4, 0x4c), reason: /difference/ },
  'with a parent': { edit: (b) => b.writeUInt8(1, 0x1b8), reason: /parent/ },
  'with a link': { edit: (b) => b.writeUInt8(1, 0x1a8), reason: /parent/ },
  'with other sectors': { edit: (b) => b.writeUInt32LE(4096, 0x168), reason: /sectors/ },
  'with other blocks': { edit: (b) => b.writeUInt32LE(512, 0x178), reason: /not of 1 MiB/ },
  'with too few blocks': { edit: (b) => b.writeUInt32LE(1, 0x180), reason: /too few/ },
  'with a huge map': { edit: (b) => b.writeUInt32LE(2 ** 30, 0x180), reason: /larger than 32 MiB/ },
  'with its map beyond its end': { edit: (b) => b.writeUInt32LE(2 ** 31, 0x154), reason: /block map ends/ },
  'with tables off their sectors': { edit: (b) => b.writeUInt32LE(100, 0x158), reason: /middle of a sector/ },
  'with a block beyond its end': {
    edit: (b) => b.writeUInt32LE(900, b.readUInt32LE(0x154)),
    reason: /1 blocks lie/,
    inHead: false,
  },
});
