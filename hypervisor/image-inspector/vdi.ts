import {
  countOutside,
  type FormatJudge,
  holds,
  type ImageFile,
  type ImageHead,
  maxTableBytes,
  type Refuse,
  requireInside,
  tablePieces,
  u64le,
} from './image-bytes.ts';

const signatureOffset = 0x40;
const signature = 0xbeda107f;
const headerBytes = 512;
const sectorBytes = 512;
const blockBytes = 2 ** 20;
/** Types of image: 1 grows, 2 is of fixed size; the others are differences to another image. */
const acceptedTypes = [1, 2];
/** Entries from here on mean that a block is not there, or was discarded. */
const firstHole = 0xfffffffe;

interface VdiHeader {
  readonly virtualSizeBytes: number;
  readonly blocks: number;
  readonly mapOffset: number;
  readonly dataOffset: number;
}

/** VirtualBox's format, read as QEMU's block/vdi.c does. */
export const vdi: FormatJudge = {
  name: 'vdi',
  matches: ({ bytes }) => bytes.length >= signatureOffset + 4 && bytes.readUInt32LE(signatureOffset) === signature,

  judgeHead(head, refuse) {
    return readHeader(head, refuse)?.virtualSizeBytes ?? null;
  },

  async judgeFile(file, refuse) {
    const header = readHeader(file.head, refuse);
    if (header === null) return null;
    await judgeBlocks(file, header, refuse);
    return header.virtualSizeBytes;
  },
};

function readHeader(head: ImageHead, refuse: Refuse): VdiHeader | null {
  if (!holds(head, 'the VDI header', 0, headerBytes, refuse)) return null;
  const { bytes } = head;
  const version = bytes.readUInt32LE(0x44);
  if (version !== 0x00010001) refuse(`VDI version ${version >>> 16}.${version & 0xffff} is not accepted; expected 1.1`);
  const type = bytes.readUInt32LE(0x4c);
  if (!acceptedTypes.includes(type))
    refuse(`VDI of the type ${type} is not accepted: it is a difference to another image`);
  const isSet = (from: number) => bytes.subarray(from, from + 16).some((byte) => byte !== 0);
  if (isSet(0x1a8) || isSet(0x1b8)) refuse('it refers to a parent image');
  if (bytes.readUInt32LE(0x168) !== sectorBytes) refuse('its sectors are not of 512 bytes');
  if (bytes.readUInt32LE(0x178) !== blockBytes) refuse('its blocks are not of 1 MiB');

  const mapOffset = bytes.readUInt32LE(0x154);
  const dataOffset = bytes.readUInt32LE(0x158);
  if (mapOffset % sectorBytes !== 0 || dataOffset % sectorBytes !== 0)
    refuse('its tables begin in the middle of a sector');
  // Sizes that are no whole number of sectors exist; QEMU rounds them up.
  const virtualSizeBytes = Math.ceil(u64le(bytes, 0x170) / sectorBytes) * sectorBytes;
  const blocks = bytes.readUInt32LE(0x180);
  if (blocks * blockBytes < virtualSizeBytes) refuse(`it has ${blocks} blocks, too few for the disk`);
  if (blocks * 4 > maxTableBytes) {
    refuse('its block map is larger than 32 MiB');
    return null;
  }
  requireInside('the block map', mapOffset, blocks * 4, head.fileSizeBytes, refuse);
  return { virtualSizeBytes, blocks, mapOffset, dataOffset };
}

async function judgeBlocks(file: ImageFile, header: VdiHeader, refuse: Refuse): Promise<void> {
  const outside = countOutside('blocks', file);
  const needed = Math.ceil(header.virtualSizeBytes / blockBytes);
  const endBytes = header.virtualSizeBytes % blockBytes || blockBytes;
  for await (const { piece, at } of tablePieces(file, header.mapOffset, Math.min(needed, header.blocks) * 4)) {
    for (let place = 0; place + 4 <= piece.length; place += 4) {
      const block = piece.readUInt32LE(place);
      const isEnd = (at + place) / 4 === needed - 1;
      if (block < firstHole) outside.check(header.dataOffset + block * blockBytes, isEnd ? endBytes : blockBytes);
    }
  }
  outside.report(refuse);
}
