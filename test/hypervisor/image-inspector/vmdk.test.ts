import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect, openWorkshop, qemuSize } from './made-images.ts';
import { type Edit, refused } from './refused-image.ts';

const descriptor =
  (from: string, to: string): Edit =>
  (bytes) => {
    const text = bytes.toString('latin1', 512, 512 + 20 * 512);
    assert.ok(text.includes(from), from);
    bytes.write(text.replace(from, to).slice(0, 20 * 512), 512, 'latin1');
  };

refused('vmdk monolithicSparse', {
  'of version 4': { edit: (b) => b.writeUInt32LE(4, 4), reason: /version 4/ },
  'without a capacity': { edit: (b) => b.writeBigUInt64LE(0n, 12), reason: /no capacity/ },
  'of another type': { edit: descriptor('monolithicSparse', 'monolithicFlat'), reason: /monolithicflat/ },
  'without a type': { edit: descriptor('createType', 'kreateType'), reason: /of which type/ },
  'with a flat extent': { edit: descriptor('SPARSE "', 'FLAT "'), reason: /extent that is not sparse/ },
  'with an extent elsewhere': { edit: descriptor('SPARSE "', 'SPARSE "/etc/'), reason: /not in the same file/ },
  'with two extents': { edit: descriptor('RW ', 'RW 1 SPARSE "a.vmdk"\nRW '), reason: /2 extents/ },
  'without an extent': { edit: descriptor('RW ', '#W '), reason: /0 extents/ },
  'with a parent': { edit: descriptor('parentCID=ffffffff', 'parentCID=12345678'), reason: /parent/ },
  'with a parent’s name': { edit: descriptor('createType', 'parentFileNameHint="/x"\ncreateType'), reason: /parent/ },
  'with a line of nonsense': { edit: descriptor('createType', 'some nonsense\ncreateType'), reason: /1 lines/ },
  'with a descriptor that is no text': { edit: descriptor('createType', '\xe9createType'), reason: /not plain text/ },
  'with its descriptor elsewhere': { edit: (b) => b.writeUInt32LE(2, 28), reason: /descriptor begins/ },
  'with a huge descriptor': { edit: (b) => b.writeUInt32LE(2 ** 31, 36), reason: /descriptor is empty, or/ },
  'with huge grains': { edit: (b) => b.writeUInt32LE(2 ** 30, 20), reason: /no possible size/ },
  'with huge grain tables': { edit: (b) => b.writeUInt32LE(513, 44), reason: /no possible size/ },
  'with a huge directory': { edit: (b) => b.writeUInt32LE(2 ** 31, 16), reason: /larger than 32 MiB/ },
  'with its directory beyond its end': {
    edit: (b) => b.writeUInt32LE(2 ** 24, 56),
    reason: /grain directory ends/,
  },
  'of unknown compression': { edit: (b) => b.writeUInt16LE(2, 77), reason: /compression/ },
  'that wants a footer and has none': {
    edit: (b) => b.writeBigUInt64LE(2n ** 64n - 1n, 56),
    reason: /without its footer/,
    inHead: false,
  },
  'with a grain table beyond its end': {
    edit: (b) => b.writeUInt32LE(2 ** 30, b.readUInt32LE(56) * 512),
    reason: /1 grain tables lie beyond/,
    inHead: false,
  },
  'with a grain beyond its end': {
    edit: (b) => b.writeUInt32LE(2 ** 30, b.readUInt32LE(b.readUInt32LE(56) * 512) * 512),
    reason: /1 grains lie beyond/,
    inHead: false,
  },
});

const sector = 512;

/** The header leaves the grain directory's place to a footer: marker, header and end of the stream, a sector each. */
function withFooter(edit: (end: Buffer) => unknown = () => undefined): Edit {
  return (bytes) => {
    const end = Buffer.alloc(3 * sector);
    end.writeUInt32LE(3, 12);
    bytes.copy(end, sector, 0, sector);
    edit(end);
    bytes.writeBigUInt64LE(2n ** 64n - 1n, 56);
    return Buffer.concat([bytes, end]);
  };
}

const atEnd = (reason: RegExp, edit: (end: Buffer) => unknown) => ({ edit: withFooter(edit), reason, inHead: false });

refused('vmdk streamOptimized', {
  'with a footer of zeros': atEnd(/without its footer/, (end) => end.fill(0)),
  'with a footer of another mark': atEnd(/without its footer/, (end) => end.write('COWD', sector)),
  'with a footer of another version': atEnd(/different versions/, (end) => end.writeUInt32LE(1, sector + 4)),
  'with a footer of another size': atEnd(/differ in the size/, (end) => end.writeBigUInt64LE(8n, sector + 12)),
  'with a longer descriptor in its footer': atEnd(/different descriptors/, (end) => end.writeUInt8(99, sector + 36)),
  'with another descriptor in its footer': atEnd(/different descriptors/, (end) => end.writeUInt8(9, sector + 28)),
  'with a footer that asks for a footer': atEnd(/another footer/, (end) => end.fill(0xff, sector + 56, sector + 64)),
  'with a footer’s marker of another type': atEnd(/without its footer/, (end) => end.writeUInt8(4, 12)),
  'with data in its footer’s marker': atEnd(/without its footer/, (end) => end.writeUInt8(1, 8)),
  'with a footer’s marker that is not blank': atEnd(/without its footer/, (end) => end.writeUInt8(1, sector - 1)),
  'with an end of another type': atEnd(/stream’s end/, (end) => end.writeUInt8(1, 2 * sector + 12)),
  'with data in its end': atEnd(/stream’s end/, (end) => end.writeUInt8(1, 2 * sector + 8)),
  'with an end that is not blank': atEnd(/stream’s end/, (end) => end.writeUInt8(1, 3 * sector - 1)),
});

test('a vmdk with a sound footer is accepted, with the size that qemu-img sees', async () => {
  const workshop = await openWorkshop();
  try {
    const path = await workshop.change('vmdk streamOptimized', withFooter());
    const { verdict, virtualSizeBytes, reasons } = await inspect(path, 'vmdk');
    assert.equal(verdict, 'accepted', reasons.join('; '));
    assert.equal(virtualSizeBytes, await qemuSize(path, 'vmdk'));
  } finally {
    await workshop.close();
  }
});
