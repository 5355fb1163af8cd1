import {
  holds,
  type ImageFile,
  type ImageHead,
  maxTableBytes,
  type Refuse,
  requireInside,
  u64le,
} from './image-bytes.ts';

const sectorBytes = 512;
const headerBytes = 79;
const redundantDirectoryFlag = 2;
/** All bits set, as far as a number can hold. */
const directoryAtEnd = 2 ** 64;
/** A footer is the marker before it, a header, and the marker of the stream's end. */
const footerBytes = 3 * sectorBytes;
const footerMarker = 3;

/** A hosted sparse extent, by its header. The limits are those of QEMU's block/vmdk.c. */
export interface VmdkHeader {
  readonly capacityBytes: number;
  readonly grainBytes: number;
  readonly compressed: boolean;
  readonly entriesPerTable: number;
  readonly tables: number;
  /** Null: the header leaves it to a footer. */
  readonly directoryOffset: number | null;
  readonly redundantDirectoryOffset: number | null;
  readonly descriptor: { readonly offset: number; readonly bytes: number };
}

/** Judges one header in `head` at `at`. Null when nothing behind it can be found. */
export function readVmdkHeader(head: ImageHead, refuse: Refuse, at = 0): VmdkHeader | null {
  if (!holds(head, 'the VMDK header', at, headerBytes, refuse)) return null;
  const bytes = head.bytes.subarray(at);
  const version = bytes.readUInt32LE(4);
  if (version < 1 || version > 3) refuse(`VMDK version ${version} is not accepted; expected 1 to 3`);

  const capacityBytes = u64le(bytes, 12) * sectorBytes;
  // QEMU would follow the descriptor then, to whatever files it names.
  if (capacityBytes === 0) refuse('its header gives it no capacity, which leaves everything to its descriptor');
  const grainBytes = u64le(bytes, 20) * sectorBytes;
  const entriesPerTable = bytes.readUInt32LE(44);
  const compression = bytes.readUInt16LE(77);
  if (compression > 1) refuse(`its compression (method ${compression}) is unknown`);
  const descriptor = { offset: u64le(bytes, 28) * sectorBytes, bytes: u64le(bytes, 36) * sectorBytes };
  if (descriptor.offset !== sectorBytes) refuse(`its descriptor begins at byte ${descriptor.offset}; expected 512`);
  if (descriptor.bytes === 0 || descriptor.bytes >= 2 ** 20) refuse('its descriptor is empty, or of 1 MiB or more');
  requireInside('its metadata', 0, u64le(bytes, 64) * sectorBytes, head.fileSizeBytes, refuse);

  if (grainBytes === 0 || grainBytes > 2 ** 30 || entriesPerTable === 0 || entriesPerTable > 512) {
    refuse(`its grains (${grainBytes} bytes, ${entriesPerTable} to a table) are of no possible size`);
    return null;
  }
  const tables = Math.ceil(capacityBytes / (grainBytes * entriesPerTable));
  if (tables * 4 > maxTableBytes) {
    refuse('its grain directory is larger than 32 MiB');
    return null;
  }
  const hasRedundant = (bytes.readUInt32LE(8) & redundantDirectoryFlag) !== 0;
  const directorySector = u64le(bytes, 56);
  const directoryOffset = directorySector === directoryAtEnd ? null : directorySector * sectorBytes;
  const redundantDirectoryOffset = hasRedundant && directoryOffset !== null ? u64le(bytes, 48) * sectorBytes : null;
  for (const [what, offset] of [
    ['its grain directory', directoryOffset],
    ['its redundant grain directory', redundantDirectoryOffset],
  ] as const) {
    if (offset !== null) requireInside(what, offset, tables * 4, head.fileSizeBytes, refuse);
  }
  const compressed = compression === 1;
  return {
    capacityBytes,
    grainBytes,
    compressed,
    entriesPerTable,
    tables,
    directoryOffset,
    redundantDirectoryOffset,
    descriptor,
  };
}

/** A stream-optimized file may have its grain directory's place at its very end, in a second header. */
export async function readVmdkFooter(file: ImageFile, front: VmdkHeader, refuse: Refuse): Promise<VmdkHeader | null> {
  if (file.sizeBytes % sectorBytes !== 0 || file.sizeBytes < 2 * footerBytes) {
    refuse('it ends without its footer: it is cut off or damaged');
    return null;
  }
  const end = await file.read(file.sizeBytes - footerBytes, footerBytes);
  if (!end.subarray(sectorBytes, sectorBytes + 4).equals(Buffer.from('KDMV')) || !isMarker(end, 0, footerMarker)) {
    refuse('it ends without its footer: it is cut off or damaged');
    return null;
  }
  if (u64le(end, 2 * sectorBytes) !== 0 || !isMarker(end, 2 * sectorBytes, 0)) {
    refuse('it ends without the marker of the stream’s end');
  }
  if (end.readUInt32LE(sectorBytes + 4) !== file.head.bytes.readUInt32LE(4)) {
    refuse('its header and its footer are of different versions');
  }
  const footer = readVmdkHeader({ bytes: end, fileSizeBytes: file.sizeBytes }, refuse, sectorBytes);
  if (footer === null) return null;
  if (footer.capacityBytes !== front.capacityBytes) refuse('its header and its footer differ in the size of the disk');
  if (footer.descriptor.bytes !== front.descriptor.bytes || footer.descriptor.offset !== front.descriptor.offset) {
    refuse('its header and its footer name different descriptors');
  }
  if (footer.directoryOffset === null) refuse('its footer leaves the grain directory to another footer');
  return footer;
}

/** A marker is a sector with a value, a size (none, for those without data), a type, and zeros. */
function isMarker(bytes: Buffer, at: number, type: number): boolean {
  const zeros = bytes.subarray(at + 16, at + sectorBytes).every((byte) => byte === 0);
  return bytes.readUInt32LE(at + 8) === 0 && bytes.readUInt32LE(at + 12) === type && zeros;
}
