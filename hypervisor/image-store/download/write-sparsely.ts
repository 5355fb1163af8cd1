import type { FileHandle } from 'node:fs/promises';

/** Zeros become holes in pieces of this size; smaller ones would cost more than they save. */
const pieceBytes = 64 * 1024;
const zeros = Buffer.alloc(pieceBytes);

/**
 * Writes a block at its place in a file and leaves out what is zero, for the file is a hole there: it was truncated to
 * the position from which on it is written. The caller sees
 * to the length of a file that ends in zeros.
 */
export async function writeSparsely(file: FileHandle, block: Uint8Array, position: number): Promise<void> {
  let runStart = 0;
  for (let at = 0; at < block.length; at += pieceBytes) {
    if (!isZero(block.subarray(at, at + pieceBytes))) continue;
    await writeAll(file, block.subarray(runStart, at), position + runStart);
    runStart = Math.min(at + pieceBytes, block.length);
  }
  await writeAll(file, block.subarray(runStart), position + runStart);
}

function isZero(piece: Uint8Array): boolean {
  return zeros.compare(piece, 0, piece.length, 0, piece.length) === 0;
}

/** A write may be cut short, by a signal or by a file system that is nearly full. */
async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
