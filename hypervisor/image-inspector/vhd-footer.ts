import { type Refuse, u64be } from './image-bytes.ts';

export const vhdFooterBytes = 512;

export const vhdTypes = { fixed: 2, dynamic: 3, differencing: 4 } as const;

export interface VhdFooter {
  readonly type: number;
  readonly dynamicHeaderOffset: number;
  readonly virtualSizeBytes: number;
}

/** Programs that write the true size into the footer. Where another one wrote it, the geometry is the size. */
const creatorsOfTrueSize = ['win ', 'qem2', 'd2v ', 'CTXS', 'tap\0', 'wa\0\0'];

const sectorBytes = 512;
const largestGeometry = 65_535 * 16 * 255;
const maxSectors = 0xff000000;

export function isVhdFooter(bytes: Buffer): boolean {
  return bytes.length >= vhdFooterBytes && bytes.toString('latin1', 0, 8) === 'conectix';
}

/** Whether the bytes have the ones' complement sum that is written among them. */
export function hasVhdChecksum(bytes: Buffer, at: number): boolean {
  let sum = 0;
  for (const [index, byte] of bytes.entries()) if (index < at || index >= at + 4) sum += byte;
  return bytes.readUInt32BE(at) === ~sum >>> 0;
}

/**
 * Judges a footer, or its copy in front of a dynamic disk. The size is found as vpc_open of QEMU's block/vpc.c does.
 */
export function readVhdFooter(footer: Buffer, refuse: Refuse): VhdFooter {
  if (!hasVhdChecksum(footer.subarray(0, vhdFooterBytes), 64)) refuse('the checksum of its footer is wrong');
  const type = footer.readUInt32BE(60);
  if (type === vhdTypes.differencing) refuse('it refers to a parent image');
  else if (type !== vhdTypes.fixed && type !== vhdTypes.dynamic) refuse(`VHD of the type ${type} is not accepted`);

  const creator = footer.toString('latin1', 28, 32);
  const geometry = footer.readUInt16BE(56) * footer.readUInt8(58) * footer.readUInt8(59);
  const written = Math.floor(u64be(footer, 48) / sectorBytes);
  const sectors = creatorsOfTrueSize.includes(creator) || geometry === largestGeometry ? written : geometry;
  if (sectors > maxSectors) refuse('it is larger than a VHD can be, 2040 GiB');
  return { type, dynamicHeaderOffset: u64be(footer, 16), virtualSizeBytes: sectors * sectorBytes };
}
