import {
  countOutside,
  type FormatJudge,
  holds,
  type ImageFile,
  type ImageHead,
  isPowerOfTwo,
  maxTableBytes,
  type Refuse,
  requireInside,
  startsWith,
  tablePieces,
  u64be,
} from './image-bytes.ts';
import { hasVhdChecksum, isVhdFooter, readVhdFooter, type VhdFooter, vhdFooterBytes, vhdTypes } from './vhd-footer.ts';

const sectorBytes = 512;
const dynamicHeaderBytes = 1024;
const unallocated = 0xffffffff;

/** Microsoft's older format, which QEMU calls vpc. A dynamic disk has a copy of its footer in front. */
export const vhd: FormatJudge = {
  name: 'vhd',
  matches: (head) => startsWith(head, 'conectix'),

  judgeHead(head, refuse) {
    return readFront(head, refuse)?.virtualSizeBytes ?? null;
  },

  async judgeFile(file, refuse) {
    const footer = readFront(file.head, refuse);
    if (footer === null) return null;
    // Virtual PC once wrote footers of 511 bytes.
    const end = await file.read(Math.max(0, file.sizeBytes - vhdFooterBytes), vhdFooterBytes);
    if (end.indexOf('conectix', 0, 'latin1') > 1 || !end.includes('conectix', 0, 'latin1')) {
      refuse('it ends without its footer: it is cut off or damaged');
    }
    await judgeDynamic(file, footer, refuse);
    return footer.virtualSizeBytes;
  },
};

function readFront(head: ImageHead, refuse: Refuse): VhdFooter | null {
  if (!holds(head, 'the copy of the footer', 0, vhdFooterBytes, refuse)) return null;
  const footer = readVhdFooter(head.bytes, refuse);
  if (footer.type === vhdTypes.fixed) {
    refuse('a VHD of fixed size has its footer at its end only');
    return null;
  }
  return footer;
}

/** The header of a dynamic disk, and the table of its blocks. QEMU demands that every block be whole. */
async function judgeDynamic(file: ImageFile, footer: VhdFooter, refuse: Refuse): Promise<void> {
  const offset = footer.dynamicHeaderOffset;
  if (!requireInside('the dynamic disk header', offset, dynamicHeaderBytes, file.sizeBytes, refuse)) return;
  const header = await file.read(offset, dynamicHeaderBytes);
  if (header.toString('latin1', 0, 8) !== 'cxsparse') return refuse('it has no dynamic disk header');
  if (!hasVhdChecksum(header, 36)) refuse('the checksum of its dynamic disk header is wrong');
  const namesParent =
    header.subarray(40, 56).some((byte) => byte !== 0) || header.subarray(64, 768).some((byte) => byte !== 0);
  if (namesParent) refuse('it refers to a parent image');

  const entries = header.readUInt32BE(28);
  const blockBytes = header.readUInt32BE(32);
  if (!isPowerOfTwo(blockBytes) || blockBytes < sectorBytes) return refuse(`its blocks are of ${blockBytes} bytes`);
  if (entries * blockBytes < footer.virtualSizeBytes) return refuse('its block table is too small for the disk');
  if (entries * 4 > maxTableBytes) return refuse('its block table is larger than 32 MiB');
  const tableOffset = u64be(header, 16);
  if (!requireInside('the block table', tableOffset, entries * 4, file.sizeBytes, refuse)) return;

  const bitmapBytes = Math.ceil(blockBytes / (8 * sectorBytes) / sectorBytes) * sectorBytes;
  const outside = countOutside('blocks', file);
  for await (const { piece } of tablePieces(file, tableOffset, entries * 4)) {
    for (let place = 0; place + 4 <= piece.length; place += 4) {
      const sector = piece.readUInt32BE(place);
      if (sector !== unallocated) outside.check(sector * sectorBytes, bitmapBytes + blockBytes);
    }
  }
  outside.report(refuse);
}

/** Whether the file ends as a VHD of fixed size does: bytes of a disk, and then a footer. */
export async function endsAsFixedVhd(file: ImageFile): Promise<boolean> {
  if (file.sizeBytes < vhdFooterBytes) return false;
  const end = await file.read(file.sizeBytes - vhdFooterBytes, vhdFooterBytes);
  return isVhdFooter(end) && end.readUInt32BE(60) === vhdTypes.fixed && hasVhdChecksum(end, 64);
}

/** Judges a VHD of fixed size, which nothing in front distinguishes from a raw image. */
export async function judgeFixedVhd(file: ImageFile, refuse: Refuse): Promise<number | null> {
  const end = await file.read(Math.max(0, file.sizeBytes - vhdFooterBytes), vhdFooterBytes);
  if (!isVhdFooter(end)) {
    refuse('it ends without the footer of a VHD: it is cut off, or is none');
    return null;
  }
  const footer = readVhdFooter(end, refuse);
  if (footer.type === vhdTypes.dynamic) refuse('it lacks the copy of the footer that a dynamic VHD has in front');
  requireInside('the disk', 0, footer.virtualSizeBytes, file.sizeBytes - vhdFooterBytes, refuse);
  return footer.virtualSizeBytes;
}
