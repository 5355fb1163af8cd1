import {
  countOutside,
  type ImageFile,
  maxTableBytes,
  type Refuse,
  requireInside,
  tablePieces,
  u64be,
} from './image-bytes.ts';
import type { Qcow2Header } from './qcow2-header.ts';

const sectorBytes = 512;

/**
 * Follows every pointer from the L1 table to the data, so that a file whose end is missing is refused: QEMU reads some
 * missing tables as zeros. Reads no L2 table twice, so never more than the file holds, and keeps at most 32 MiB.
 */
export async function judgeQcow2Mapping(file: ImageFile, header: Qcow2Header, refuse: Refuse): Promise<void> {
  const { tables, last } = await readL1(file, header, refuse);
  for (let index = 1; index < tables.length; index++) {
    if (tables[index] !== tables[index - 1]) continue;
    refuse('two entries of its L1 table lead to the same L2 table');
    return;
  }
  const outside = countOutside('clusters', file);
  const faults = { misaligned: false, zeroFlag: false };
  for (const offset of tables) {
    const entries = offset === last ? lastTableEntries(header) : header.clusterBytes / 8;
    const table = await file.read(offset, header.clusterBytes);
    judgeL2(table, { entries, isLast: offset === last }, header, outside, faults);
  }
  outside.report(refuse);
  if (faults.misaligned) refuse('entries of its L2 tables lead to the middle of a cluster');
  if (faults.zeroFlag) refuse('it has zero clusters, which version 2 does not know');
}

/** The L2 tables' places in ascending order, and the place of the one that holds the end of the disk. */
async function readL1(file: ImageFile, { l1, clusterBytes }: Qcow2Header, refuse: Refuse) {
  const found = new Float64Array(l1.neededEntries);
  let count = 0;
  let last: number | undefined;
  let misaligned = false;
  const outside = countOutside('L2 tables', file);
  for await (const { piece, at } of tablePieces(file, l1.offset, l1.neededEntries * 8)) {
    for (let place = 0; place + 8 <= piece.length; place += 8) {
      const offset = offsetIn(piece, place);
      if (offset === 0) continue;
      if (offset % clusterBytes !== 0) misaligned = true;
      else if (outside.check(offset, clusterBytes)) {
        found[count++] = offset;
        if ((at + place) / 8 === l1.neededEntries - 1) last = offset;
      }
    }
  }
  outside.report(refuse);
  if (misaligned) refuse('entries of its L1 table lead to the middle of a cluster');
  return { tables: found.subarray(0, count).sort(), last };
}

/** Bits 9 to 55 of an entry. */
function offsetIn(table: Buffer, place: number): number {
  return (table.readUInt32BE(place) & 0x00ffffff) * 2 ** 32 + ((table.readUInt32BE(place + 4) & 0xfffffe00) >>> 0);
}

function lastTableEntries({ virtualSizeBytes, clusterBytes, l1 }: Qcow2Header): number {
  return Math.ceil(virtualSizeBytes / clusterBytes) - (l1.neededEntries - 1) * (clusterBytes / 8);
}

function judgeL2(
  table: Buffer,
  { entries, isLast }: { readonly entries: number; readonly isLast: boolean },
  { version, clusterBytes, virtualSizeBytes }: Qcow2Header,
  outside: ReturnType<typeof countOutside>,
  faults: { misaligned: boolean; zeroFlag: boolean },
): void {
  // How many bits of the entry's upper half belong to the offset of compressed data; its length is above them.
  const offsetBits = 62 - (Math.log2(clusterBytes) - 8) - 32;
  // What is behind the end of the disk need not have been written.
  const endBytes = virtualSizeBytes % clusterBytes || clusterBytes;
  for (let index = 0; index < Math.min(entries, table.length / 8); index++) {
    const high = table.readUInt32BE(index * 8);
    const low = table.readUInt32BE(index * 8 + 4);
    if (high & 0x40000000) {
      // The length counts sectors beyond the first, and the last of them may be cut by the end of the file.
      const offset = (high & (2 ** offsetBits - 1)) * 2 ** 32 + low;
      const sectors = (high & 0x3fffffff) >>> offsetBits;
      outside.check(offset, Math.max(1, sectors * sectorBytes + 1 - (offset % sectorBytes)));
      continue;
    }
    const offset = (high & 0x00ffffff) * 2 ** 32 + ((low & 0xfffffe00) >>> 0);
    if ((low & 1) === 1) {
      if (version === 2) faults.zeroFlag = true;
      continue;
    }
    if (offset === 0) continue;
    if (offset % clusterBytes !== 0) faults.misaligned = true;
    else outside.check(offset, isLast && index === entries - 1 ? endBytes : clusterBytes);
  }
}

/** The blocks of reference counts that the refcount table names are in the file. */
export async function judgeQcow2Refcounts(file: ImageFile, header: Qcow2Header, refuse: Refuse): Promise<void> {
  const { offset: tableOffset, bytes: tableBytes } = header.refcountTable;
  let misaligned = false;
  const outside = countOutside('refcount blocks', file);
  for await (const { piece } of tablePieces(file, tableOffset, Math.min(tableBytes, maxTableBytes))) {
    for (let place = 0; place + 8 <= piece.length; place += 8) {
      const offset = u64be(piece, place) - (piece.readUInt32BE(place + 4) & 0x1ff);
      if (offset % header.clusterBytes !== 0) misaligned = true;
      else if (offset > 0) outside.check(offset, header.clusterBytes);
    }
  }
  outside.report(refuse);
  if (misaligned) refuse('entries of its refcount table lead to the middle of a cluster');
}

/** The internal snapshots' records are whole, and their L1 tables are in the file. Stops at the first that is not. */
export async function judgeQcow2Snapshots(file: ImageFile, header: Qcow2Header, refuse: Refuse): Promise<void> {
  let offset = header.snapshots.offset;
  for (let index = 0; index < header.snapshots.count; index++) {
    const what = `snapshot ${index + 1}`;
    const record = await file.read(offset, 40);
    if (!requireInside(what, offset, 40, file.sizeBytes, refuse)) return;
    const l1Offset = u64be(record, 0);
    const l1Bytes = record.readUInt32BE(8) * 8;
    const extraBytes = record.readUInt32BE(36);
    const idBytes = record.readUInt16BE(12);
    const nameBytes = record.readUInt16BE(14);
    if (extraBytes > 1024) return refuse(`${what} has ${extraBytes} bytes of extra data; at most 1024 are read`);
    if (l1Offset % header.clusterBytes !== 0 || l1Bytes > maxTableBytes)
      return refuse(`${what} has no possible L1 table`);
    if (!requireInside(`the L1 table of ${what}`, l1Offset, l1Bytes, file.sizeBytes, refuse)) return;
    const recordBytes = 40 + extraBytes + idBytes + nameBytes;
    if (!requireInside(what, offset, recordBytes, file.sizeBytes, refuse)) return;
    offset += Math.ceil(recordBytes / 8) * 8;
  }
}
