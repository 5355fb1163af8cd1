import type { FormatJudge, ImageHead, Refuse } from './image-bytes.ts';

const firstEntry = 446;
const entryBytes = 16;
const protectiveType = 0xee;

function isPartitionTable(head: ImageHead): boolean {
  const { bytes } = head;
  if (bytes.length < 512 || bytes.readUInt16LE(510) !== 0xaa55) return false;
  // A FAT file system's boot sector has the same mark, and so has a Linux kernel's.
  const isFat = bytes[0x10] === 2 && bytes[0x15] === 0xf8;
  const isKernel = bytes.length >= 0x206 && bytes.toString('latin1', 0x202, 0x206) === 'HdrS';
  return !isFat && !isKernel;
}

function entries({ bytes }: ImageHead): Buffer[] {
  return [0, 1, 2, 3].map((index) =>
    bytes.subarray(firstEntry + index * entryBytes, firstEntry + (index + 1) * entryBytes),
  );
}

function isGpt(head: ImageHead): boolean {
  return isPartitionTable(head) && entries(head).some((entry) => entry[4] === protectiveType);
}

/** The rules of oslo.utils: what breaks them may be a header of something else. */
function judgeEntries(head: ImageHead, refuse: Refuse): number | null {
  const used = entries(head).flatMap((entry, index) => (entry[4] === 0 ? [] : [index]));
  for (const [index, entry] of entries(head).entries()) {
    if (entry[0] !== 0 && entry[0] !== 0x80)
      refuse(`partition ${index + 1} of its boot record has an impossible boot flag`);
    if (entry[4] !== protectiveType) continue;
    if (entry[1] !== 0 || entry[2] !== 2 || entry[3] !== 0 || entry.readUInt32LE(8) !== 1) {
      refuse('the protective partition of its boot record does not begin at block 1');
    }
    if (used.length > 1 || index !== 0) refuse('its boot record has partitions beside the protective one');
  }
  if (used.length === 0) refuse('its boot record has no partitions');
  return head.fileSizeBytes;
}

const judging = {
  judgeHead: judgeEntries,
  judgeFile: async ({ head }, refuse) => judgeEntries(head, refuse),
} satisfies Pick<FormatJudge, 'judgeHead' | 'judgeFile'>;

/** A disk with a GUID partition table, which a protective partition in the old table announces. */
export const gpt: FormatJudge = { name: 'gpt', matches: isGpt, ...judging };

/** A disk with the old kind of partition table only. */
export const mbr: FormatJudge = { name: 'mbr', matches: (head) => isPartitionTable(head) && !isGpt(head), ...judging };
