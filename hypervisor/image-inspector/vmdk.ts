import { countOutside, type FormatJudge, type ImageFile, type Refuse, startsWith, tablePieces } from './image-bytes.ts';
import { isVmdkDescriptor, judgeVmdkDescriptor } from './vmdk-descriptor.ts';
import { readVmdkFooter, readVmdkHeader, type VmdkHeader } from './vmdk-header.ts';

const sectorBytes = 512;

/** VMware's format, as one sparse file: see the Virtual Disk Format specification 5.0, and QEMU's block/vmdk.c. */
export const vmdk: FormatJudge = {
  name: 'vmdk',
  matches: (head) => startsWith(head, 'KDMV') || startsWith(head, 'COWD') || isVmdkDescriptor(head),

  judgeHead(head, refuse) {
    if (!startsWith(head, 'KDMV')) {
      refuse('it is a VMDK without a hosted sparse header: a descriptor of other files, or of an old type');
      return null;
    }
    const header = readVmdkHeader(head, refuse);
    if (header === null) return null;
    judgeVmdkDescriptor(head, header.descriptor, refuse);
    return header.capacityBytes;
  },

  async judgeFile(file, refuse) {
    const capacityBytes = vmdk.judgeHead(file.head, refuse);
    // Reported above; here it is read again for what is behind it.
    const front = capacityBytes === null ? null : readVmdkHeader(file.head, () => {});
    if (front === null) return null;
    const header = front.directoryOffset === null ? await readVmdkFooter(file, front, refuse) : front;
    if (header === null || header.directoryOffset === null) return capacityBytes;
    await judgeGrains(file, header, header.directoryOffset, refuse);
    if (header.redundantDirectoryOffset !== null)
      await readDirectory(file, header, header.redundantDirectoryOffset, refuse);
    return capacityBytes;
  },
};

/** Follows every pointer from the grain directory to the grains. Reads no grain table twice. */
async function judgeGrains(
  file: ImageFile,
  header: VmdkHeader,
  directoryOffset: number,
  refuse: Refuse,
): Promise<void> {
  const { tables, last } = await readDirectory(file, header, directoryOffset, refuse);
  for (let index = 1; index < tables.length; index++) {
    if (tables[index] !== tables[index - 1]) continue;
    refuse('two entries of its grain directory lead to the same table');
    return;
  }
  const outside = countOutside('grains', file);
  const endBytes = header.capacityBytes % header.grainBytes || header.grainBytes;
  const grains = Math.ceil(header.capacityBytes / header.grainBytes);
  const lastIndex = grains - (header.tables - 1) * header.entriesPerTable - 1;
  for (const sector of tables) {
    const table = await file.read(sector * sectorBytes, header.entriesPerTable * 4);
    const entries = Math.min(table.length / 4, sector === last ? lastIndex + 1 : header.entriesPerTable);
    for (let index = 0; index < entries; index++) {
      const grain = table.readUInt32LE(index * 4);
      // 0 is a hole, 1 a grain of zeros.
      if (grain <= 1) continue;
      const isEnd = sector === last && index === lastIndex;
      // A compressed grain is as long as it says itself: a marker of twelve bytes, at least.
      outside.check(grain * sectorBytes, header.compressed ? 12 : isEnd ? endBytes : header.grainBytes);
    }
  }
  outside.report(refuse);
}

/** The grain tables' sectors in ascending order, and the sector of the one that holds the end of the disk. */
async function readDirectory(file: ImageFile, header: VmdkHeader, offset: number, refuse: Refuse) {
  const found = new Uint32Array(header.tables);
  let count = 0;
  let last: number | undefined;
  const outside = countOutside('grain tables', file);
  for await (const { piece, at } of tablePieces(file, offset, header.tables * 4)) {
    for (let place = 0; place + 4 <= piece.length; place += 4) {
      const sector = piece.readUInt32LE(place);
      if (sector === 0 || !outside.check(sector * sectorBytes, header.entriesPerTable * 4)) continue;
      found[count++] = sector;
      if ((at + place) / 4 === header.tables - 1) last = sector;
    }
  }
  outside.report(refuse);
  return { tables: found.subarray(0, count).sort(), last };
}
