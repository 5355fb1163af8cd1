import {
  countOutside,
  type FormatJudge,
  type ImageFile,
  maxTableBytes,
  type Refuse,
  startsWith,
  tablePieces,
} from './image-bytes.ts';
import { readVhdxHeader, type VhdxRegions } from './vhdx-header.ts';
import { readVhdxMetadata, type VhdxDisk } from './vhdx-metadata.ts';

/** States of a block. The others mean that it reads as zeros. */
const fullyPresent = 6;
const unreadableStates = [4, 7];

/** Sectors of a block's share in one bitmap block, see the MS-VHDX specification, section 2.5. */
const sectorsPerChunk = 2 ** 23;

/** Microsoft's newer format. Its metadata may be anywhere, so that a head says little of it. */
export const vhdx: FormatJudge = {
  name: 'vhdx',
  matches: (head) => startsWith(head, 'vhdxfile'),

  judgeHead(head, refuse) {
    readVhdxHeader(head, refuse);
    return null;
  },

  async judgeFile(file, refuse) {
    const regions = readVhdxHeader(file.head, refuse);
    if (regions === null) return null;
    const disk = await readVhdxMetadata(file, regions.metadata, refuse);
    if (disk === null) return null;
    await judgeBlocks(file, regions, disk, refuse);
    return disk.virtualSizeBytes;
  },
};

async function judgeBlocks(file: ImageFile, regions: VhdxRegions, disk: VhdxDisk, refuse: Refuse): Promise<void> {
  const { virtualSizeBytes, blockBytes } = disk;
  const blocks = Math.ceil(virtualSizeBytes / blockBytes);
  const perBitmap = (sectorsPerChunk * 512) / blockBytes;
  const entries = blocks + Math.floor(Math.max(0, blocks - 1) / perBitmap);
  const { offset: tableOffset, bytes: tableBytes } = regions.blockTable;
  if (entries * 8 > tableBytes) return refuse('its block table is too small for the disk');
  if (tableBytes > maxTableBytes) return refuse('its block table is larger than 32 MiB');

  const outside = countOutside('blocks', file);
  const endBytes = virtualSizeBytes % blockBytes || blockBytes;
  let unreadable = false;
  let overlapping = false;
  for await (const { piece, at } of tablePieces(file, tableOffset, entries * 8)) {
    for (let place = 0; place + 8 <= piece.length; place += 8) {
      const index = (at + place) / 8;
      if (index % (perBitmap + 1) === perBitmap) continue;
      const low = piece.readUInt32LE(place);
      if (unreadableStates.includes(low & 7)) unreadable = true;
      if ((low & 7) !== fullyPresent) continue;
      const offset = piece.readUInt32LE(place + 4) * 2 ** 32 + ((low & 0xfff00000) >>> 0);
      const inFile = outside.check(offset, index === entries - 1 ? endBytes : blockBytes);
      if (inFile && liesIn(offset, blockBytes, regions)) overlapping = true;
    }
  }
  outside.report(refuse);
  if (unreadable) refuse('its block table has states of blocks that only an image with a parent has');
  if (overlapping) refuse('blocks of its data overlap its metadata');
}

/** Whether a block overlaps what is no data. A table has few regions; beyond a few, only the first are compared. */
function liesIn(offset: number, bytes: number, { all }: VhdxRegions): boolean {
  for (let index = 0; index < Math.min(all.length, 16); index++) {
    const region = all[index];
    if (region !== undefined && offset < region.offset + region.bytes && region.offset < offset + bytes) return true;
  }
  return false;
}
