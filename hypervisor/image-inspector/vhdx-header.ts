import { crc32c } from './crc32c.ts';
import { holds, type ImageHead, type Refuse, requireInside, u64le } from './image-bytes.ts';

const kibibyte = 2 ** 10;
const mebibyte = 2 ** 20;
const headerPlaces = [64 * kibibyte, 128 * kibibyte];
const headerBytes = 4 * kibibyte;
const regionTable = { offset: 192 * kibibyte, bytes: 64 * kibibyte };
const maxEntries = 2047;

const guids = {
  blockTable: '2dc27766-f623-4200-9d64-115e9bfd4a08',
  metadata: '8b7ca206-4790-4b9a-b8fe-575f050f886e',
} as const;

export interface Region {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
}

export interface VhdxRegions {
  readonly blockTable: Region;
  readonly metadata: Region;
  /** All regions with the log and the headers; no two of them overlap. */
  readonly all: readonly Region[];
}

/** Judges the two headers and the region table. Null when nothing behind them can be found. */
export function readVhdxHeader(head: ImageHead, refuse: Refuse): VhdxRegions | null {
  if (!holds(head, 'the region table', regionTable.offset, regionTable.bytes, refuse)) return null;
  const log = readLog(head.bytes, refuse);
  const table = head.bytes.subarray(regionTable.offset, regionTable.offset + regionTable.bytes);
  if (table.toString('latin1', 0, 4) !== 'regi' || table.readUInt32LE(4) !== crc32c(table, 4)) {
    refuse('its region table is damaged');
    return null;
  }
  const count = table.readUInt32LE(8);
  if (count > maxEntries) {
    refuse(`its region table has ${count} entries; at most ${maxEntries} are read`);
    return null;
  }
  const regions: Region[] = [{ name: 'the headers', offset: 0, bytes: mebibyte }, ...log];
  const known = new Map<string, Region>();
  for (let at = 16; at < 16 + count * 32; at += 32) {
    const guid = guidAt(table, at);
    const name = Object.values(guids).find((candidate) => candidate === guid);
    const region = { name: name ?? 'a region', offset: u64le(table, at + 16), bytes: table.readUInt32LE(at + 24) };
    if (name === undefined && (table.readUInt32LE(at + 28) & 1) === 1) refuse(`it needs an unknown region (${guid})`);
    if (known.has(guid)) refuse(`its region table has ${guid} twice`);
    requireInside('a region', region.offset, region.bytes, head.fileSizeBytes, refuse);
    known.set(guid, region);
    regions.push(region);
  }
  if (overlap(regions)) refuse('its regions overlap');
  const blockTable = known.get(guids.blockTable);
  const metadata = known.get(guids.metadata);
  if (blockTable !== undefined && metadata !== undefined) return { blockTable, metadata, all: regions };
  refuse('its region table lacks the block table or the metadata');
  return null;
}

/** The log's place, from the newer of the valid headers. */
function readLog(bytes: Buffer, refuse: Refuse): Region[] {
  const header = headerPlaces
    .map((place) => bytes.subarray(place, place + headerBytes))
    .filter((candidate) => candidate.toString('latin1', 0, 4) === 'head' && candidate.readUInt16LE(66) === 1)
    .filter((candidate) => candidate.readUInt32LE(4) === crc32c(candidate, 4))
    .sort((one, other) => u64le(other, 8) - u64le(one, 8))[0];
  if (header === undefined) {
    refuse('both its headers are damaged');
    return [];
  }
  if (header.readUInt16LE(64) !== 0) refuse('its log is of an unknown version');
  const log = { name: 'the log', offset: u64le(header, 72), bytes: header.readUInt32LE(68) };
  if (log.bytes === 0) return [];
  if (header.subarray(48, 64).some((byte) => byte !== 0)) {
    refuse('its log holds changes that were not written to the disk: it was not closed properly');
  }
  if (log.offset < mebibyte || log.offset % mebibyte !== 0 || log.bytes % mebibyte !== 0)
    refuse('its log is misplaced');
  return [log];
}

function overlap(regions: readonly Region[]): boolean {
  const ordered = regions.toSorted((one, other) => one.offset - other.offset);
  return ordered.some((region, index) => {
    const before = ordered[index - 1];
    return before !== undefined && before.offset + before.bytes > region.offset;
  });
}

/** A GUID as text; its first three fields are little-endian. */
export function guidAt(bytes: Buffer, at: number): string {
  const hex = (start: number, end: number) => bytes.toString('hex', at + start, at + end);
  const first = bytes.readUInt32LE(at).toString(16).padStart(8, '0');
  const second = bytes
    .readUInt16LE(at + 4)
    .toString(16)
    .padStart(4, '0');
  const third = bytes
    .readUInt16LE(at + 6)
    .toString(16)
    .padStart(4, '0');
  return `${first}-${second}-${third}-${hex(8, 10)}-${hex(10, 16)}`;
}
