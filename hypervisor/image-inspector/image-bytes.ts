/** How much of an image is judged before the rest of it is there. Every header that has to be read in front fits. */
export const maxHeadBytes = 2 ** 20;

/** The largest piece that is read at once: a whole cluster of a qcow2. */
export const maxReadBytes = 2 * 2 ** 20;

/** The first bytes of an image: `maxHeadBytes`, or all there is if that is less. */
export interface ImageHead {
  readonly bytes: Buffer;
  /** How large the whole image is; null while nobody knows. */
  readonly fileSizeBytes: number | null;
}

/** A whole image. */
export interface ImageFile {
  readonly head: ImageHead;
  readonly sizeBytes: number;
  /** Reads at most `maxReadBytes`; what comes back is shorter where the file ends. */
  read(offset: number, length: number): Promise<Buffer>;
}

/** Takes a reason to refuse the image. The judging continues, so that all reasons are reported together. */
export type Refuse = (reason: string) => void;

/** How one format is recognized and judged. Both judgements return the disk's size in bytes, null where unknown. */
export interface FormatJudge {
  readonly name: string;
  matches(head: ImageHead): boolean;
  /** Judges the first bytes alone, and says nothing of the rest. */
  judgeHead(head: ImageHead, refuse: Refuse): number | null;
  /** The same, and the rest of the file. */
  judgeFile(file: ImageFile, refuse: Refuse): Promise<number | null>;
}

/** The largest table of pointers that is walked: QEMU's limit for the L1 table of a qcow2. */
export const maxTableBytes = 32 * 2 ** 20;

const pieceBytes = 2 ** 20;

/** A table's bytes, piece by piece, each a whole number of 8-byte entries, with the place of each in the table. */
export async function* tablePieces(
  file: ImageFile,
  offset: number,
  lengthBytes: number,
): AsyncGenerator<{ readonly piece: Buffer; readonly at: number }> {
  for (let at = 0; at < lengthBytes; at += pieceBytes) {
    const piece = await file.read(offset + at, Math.min(pieceBytes, lengthBytes - at));
    yield { piece, at };
    if (piece.length < pieceBytes) return;
  }
}

/**
 * An unsigned number of eight bytes. Beyond 2^53 it is rounded, which changes no comparison with a real file's size.
 */
export function u64be(bytes: Buffer, offset: number): number {
  return bytes.readUInt32BE(offset) * 2 ** 32 + bytes.readUInt32BE(offset + 4);
}

export function u64le(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset + 4) * 2 ** 32 + bytes.readUInt32LE(offset);
}

/** Whether these bytes are there in front. */
export function startsWith(head: ImageHead, text: string, at = 0): boolean {
  return head.bytes.subarray(at, at + text.length).equals(Buffer.from(text, 'latin1'));
}

/**
 * Whether the head holds these bytes. If not, the image may just not be there yet, unless it is known to end before.
 */
export function holds(head: ImageHead, what: string, offset: number, length: number, refuse: Refuse): boolean {
  if (offset + length <= head.bytes.length) return true;
  requireInside(what, offset, length, head.fileSizeBytes, refuse);
  return false;
}

/** Refuses what lies beyond the end of the file, where that is known. Answers whether it lies inside. */
export function requireInside(
  what: string,
  offset: number,
  length: number,
  fileSizeBytes: number | null,
  refuse: Refuse,
): boolean {
  if (fileSizeBytes === null || offset + length <= fileSizeBytes) return true;
  refuse(`${what} ends at byte ${offset + length}, and the file at ${fileSizeBytes}: it is cut off or damaged`);
  return false;
}

export function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && Number.isInteger(Math.log2(value));
}

/** Counts pointers that lead out of the file, so that a million of them are one reason. */
export function countOutside(what: string, file: ImageFile) {
  let count = 0;
  let first = 0;
  return {
    check(offset: number, lengthBytes: number): boolean {
      if (offset + lengthBytes <= file.sizeBytes) return true;
      if (count === 0) first = offset;
      count++;
      return false;
    },
    report(refuse: Refuse): void {
      if (count === 0) return;
      refuse(
        `${count} ${what} lie beyond the end of the file (byte ${file.sizeBytes}), the first at byte ${first}: it is cut off or damaged`,
      );
    },
  };
}
