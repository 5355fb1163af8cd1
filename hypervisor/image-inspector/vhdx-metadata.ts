import { type ImageFile, isPowerOfTwo, type Refuse, requireInside, u64le } from './image-bytes.ts';
import { guidAt, type Region } from './vhdx-header.ts';

const tableBytes = 64 * 2 ** 10;
const entryBytes = 32;
const maxVirtualSizeBytes = 64 * 2 ** 40;

/** QEMU reads no VHDX without these. */
const items = {
  fileParameters: { guid: 'caa16737-fa36-4d43-b3b6-33f0aa44e76b', bytes: 8 },
  virtualSize: { guid: '2fa54224-cd1b-4876-b211-5dbed83bf4b8', bytes: 8 },
  page83: { guid: 'beca12ab-b2e6-4523-93ef-c309e000c746', bytes: 16 },
  logicalSector: { guid: '8141bf1d-a96f-4709-ba47-f233a8faab5f', bytes: 4 },
  physicalSector: { guid: 'cda348c7-445d-4471-9cc9-e9885251c556', bytes: 4 },
} as const;
const parentLocator = 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c';

export interface VhdxDisk {
  readonly virtualSizeBytes: number;
  readonly blockBytes: number;
}

/** Judges the metadata region: how large the disk is, and that it stands by itself. */
export async function readVhdxMetadata(file: ImageFile, region: Region, refuse: Refuse): Promise<VhdxDisk | null> {
  const table = await file.read(region.offset, tableBytes);
  if (table.length < tableBytes || table.toString('latin1', 0, 8) !== 'metadata') {
    refuse('its metadata is damaged or cut off');
    return null;
  }
  const count = table.readUInt16LE(10);
  if (count * entryBytes > tableBytes - entryBytes) {
    refuse(`its metadata has ${count} entries; at most 2047 are read`);
    return null;
  }
  const places = new Map<string, number>();
  for (let at = entryBytes; at < entryBytes + count * entryBytes; at += entryBytes) {
    const guid = guidAt(table, at);
    if (places.has(guid)) refuse(`its metadata has ${guid} twice`);
    places.set(guid, table.readUInt32LE(at + 16));
    const isKnown = guid === parentLocator || Object.values(items).some((item) => item.guid === guid);
    if (!isKnown && (table.readUInt32LE(at + 24) & 4) !== 0) refuse(`it needs unknown metadata (${guid})`);
  }
  if (places.has(parentLocator)) refuse('it refers to a parent image');
  return await readItems(file, region, places, refuse);
}

async function readItems(
  file: ImageFile,
  region: Region,
  places: ReadonlyMap<string, number>,
  refuse: Refuse,
): Promise<VhdxDisk | null> {
  const item = async (name: keyof typeof items) => {
    const { guid, bytes } = items[name];
    const place = places.get(guid);
    if (place === undefined || place + bytes > region.bytes) {
      refuse(`its metadata lacks an item (${name})`);
      return Buffer.alloc(bytes);
    }
    requireInside('its metadata', region.offset + place, bytes, file.sizeBytes, refuse);
    const value = await file.read(region.offset + place, bytes);
    return value.length < bytes ? Buffer.alloc(bytes) : value;
  };
  await item('page83');
  const physicalBytes = (await item('physicalSector')).readUInt32LE();
  const logicalBytes = (await item('logicalSector')).readUInt32LE();
  const parameters = await item('fileParameters');
  const blockBytes = parameters.readUInt32LE();
  const virtualSizeBytes = u64le(await item('virtualSize'), 0);

  if ((parameters.readUInt32LE(4) & 2) !== 0) refuse('it refers to a parent image');
  if (physicalBytes !== 512 && physicalBytes !== 4096) refuse(`its physical sectors are of ${physicalBytes} bytes`);
  // Allowed by the specification, but QEMU reads none with sectors of 4096 bytes.
  if (logicalBytes !== 512) refuse(`its logical sectors are of ${logicalBytes} bytes; expected 512`);
  if (virtualSizeBytes > maxVirtualSizeBytes) refuse('it is larger than a VHDX can be, 64 TiB');
  if (virtualSizeBytes % 512 !== 0) refuse('its size is no whole number of sectors');
  if (!isPowerOfTwo(blockBytes) || blockBytes < 2 ** 20 || blockBytes > 2 ** 28) {
    refuse(`its blocks are of ${blockBytes} bytes; expected a power of two from 1 to 256 MiB`);
    return null;
  }
  return { virtualSizeBytes, blockBytes };
}
