import { holds, type ImageHead, maxTableBytes, type Refuse, requireInside, startsWith, u64be } from './image-bytes.ts';

/** The layout of a qcow2, by its header. The limits are those of QEMU's block/qcow2.c. */
export interface Qcow2Header {
  readonly version: number;
  readonly headerBytes: number;
  readonly clusterBytes: number;
  readonly virtualSizeBytes: number;
  readonly l1: { readonly offset: number; readonly entries: number; readonly neededEntries: number };
  readonly refcountTable: { readonly offset: number; readonly bytes: number };
  readonly snapshots: { readonly offset: number; readonly count: number };
}

/** A header, and whether its tables are where they can be followed. */
export interface JudgedQcow2Header extends Qcow2Header {
  readonly isWalkable: boolean;
}

const maxRefcountTableBytes = 8 * 2 ** 20;
const maxSnapshots = 65_536;

/** The bits of "incompatible features". Extended L2 entries are known to QEMU, and refused as OpenStack does. */
const dirtyBit = 1;
const corruptBit = 2;
const externalDataBit = 4;
const compressionTypeBit = 8;
const extendedL2Bit = 16;
const knownBits = dirtyBit | corruptBit | externalDataBit | compressionTypeBit | extendedL2Bit;

export function isQcow2(head: ImageHead): boolean {
  return startsWith(head, 'QFI\xfb');
}

/** Judges the header. Null when it is so wrong that nothing behind it can be found. */
export function readQcow2Header(head: ImageHead, refuse: Refuse): JudgedQcow2Header | null {
  if (!holds(head, 'the qcow2 header', 0, 72, refuse)) return null;
  const { bytes } = head;
  const version = bytes.readUInt32BE(4);
  if (version !== 2 && version !== 3) {
    refuse(`qcow version ${version} is not accepted; expected 2 or 3`);
    return null;
  }
  if (u64be(bytes, 8) !== 0 || bytes.readUInt32BE(16) !== 0) refuse('it refers to a backing file');
  const crypt = bytes.readUInt32BE(32);
  if (crypt !== 0) refuse(`it is encrypted (method ${crypt})`);
  const clusterBits = bytes.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) {
    refuse(`its clusters are of 2^${clusterBits} bytes; expected 2^9 to 2^21`);
    return null;
  }
  const clusterBytes = 2 ** clusterBits;
  const headerBytes = version === 2 ? 72 : judgeVersion3(head, clusterBytes, refuse);
  if (headerBytes === null) return null;

  // QEMU counts whole sectors.
  const virtualSizeBytes = Math.floor(u64be(bytes, 24) / 512) * 512;
  const header: Qcow2Header = {
    version,
    headerBytes,
    clusterBytes,
    virtualSizeBytes,
    l1: {
      offset: u64be(bytes, 40),
      entries: bytes.readUInt32BE(36),
      neededEntries: Math.ceil(virtualSizeBytes / (clusterBytes * (clusterBytes / 8))),
    },
    refcountTable: { offset: u64be(bytes, 48), bytes: bytes.readUInt32BE(56) * clusterBytes },
    snapshots: { offset: u64be(bytes, 64), count: bytes.readUInt32BE(60) },
  };
  return { ...header, isWalkable: judgeTables(header, head.fileSizeBytes, refuse) };
}

/** The part of the header that version 2 does not have. Returns the header's length; null when it makes no sense. */
function judgeVersion3(head: ImageHead, clusterBytes: number, refuse: Refuse): number | null {
  if (!holds(head, 'the qcow2 header', 0, 104, refuse)) return null;
  const { bytes } = head;
  const lowBits = bytes.readUInt32BE(76);
  if (bytes.readUInt32BE(72) !== 0 || (lowBits & ~knownBits) !== 0) refuse('it needs qcow2 features that are unknown');
  if (lowBits & externalDataBit) refuse('its data is in another file');
  if (lowBits & corruptBit) refuse('it is marked as damaged');
  if (lowBits & extendedL2Bit) refuse('it has extended L2 entries, which are not accepted');
  const refcountOrder = bytes.readUInt32BE(96);
  if (refcountOrder > 6) refuse(`its reference counts are of 2^${refcountOrder} bits; expected 2^6 at most`);
  const headerBytes = bytes.readUInt32BE(100);
  if (headerBytes < 104 || headerBytes > clusterBytes || headerBytes % 8 !== 0) {
    refuse(`its header says it is ${headerBytes} bytes long; expected a multiple of 8 from 104 to ${clusterBytes}`);
    return null;
  }
  if (headerBytes > 104 && bytes.length > 104) {
    const compressionType = bytes.readUInt8(104);
    const expected = lowBits & compressionTypeBit ? 1 : 0;
    if (compressionType !== expected) refuse(`its compression (type ${compressionType}) contradicts its feature bits`);
  } else if (lowBits & compressionTypeBit) {
    refuse('its feature bits promise a compression type, and its header has none');
  }
  return headerBytes;
}

/** Places and sizes of the tables. False when the L1 table cannot be walked. */
function judgeTables(header: Qcow2Header, fileSizeBytes: number | null, refuse: Refuse): boolean {
  const { clusterBytes, l1, refcountTable, snapshots } = header;
  const aligned = (what: string, offset: number) => {
    if (offset % clusterBytes === 0) return;
    refuse(`${what} begins at byte ${offset}, in the middle of a cluster`);
  };
  aligned('the refcount table', refcountTable.offset);
  if (refcountTable.bytes === 0) refuse('it has no refcount table');
  else if (refcountTable.bytes > maxRefcountTableBytes) refuse('its refcount table is larger than 8 MiB');
  else requireInside('the refcount table', refcountTable.offset, refcountTable.bytes, fileSizeBytes, refuse);

  // QEMU looks at the place of the table even where it has no entries.
  aligned('the snapshot table', snapshots.offset);
  if (snapshots.count > maxSnapshots) refuse(`it has ${snapshots.count} snapshots; at most ${maxSnapshots} are read`);
  else requireInside('the snapshot table', snapshots.offset, snapshots.count * 40, fileSizeBytes, refuse);

  aligned('the L1 table', l1.offset);
  if (l1.entries * 8 > maxTableBytes || l1.neededEntries * 8 > maxTableBytes) {
    refuse('its L1 table is larger than 32 MiB');
    return false;
  }
  if (l1.entries < l1.neededEntries) {
    refuse(`its L1 table has ${l1.entries} entries, and the disk needs ${l1.neededEntries}`);
    return false;
  }
  return requireInside('the L1 table', l1.offset, l1.entries * 8, fileSizeBytes, refuse);
}
