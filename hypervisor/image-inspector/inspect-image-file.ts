import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type ImageFile, maxHeadBytes, maxReadBytes } from './image-bytes.ts';
import { type Inspection, inspectImage } from './inspect-image.ts';

export type { Inspection };

/**
 * Judges an image file without running a program: whether it is what it is declared to be, stands by itself, and is
 * whole. All reasons are collected.
 *
 * @param declaredFormat one of `imageFormats`; null: whatever it is, if it is sound
 * @throws the file system's own error where the file cannot be read
 */
export async function inspectImageFile(
  path: string,
  declaredFormat: string | null,
  limits: { readonly maxVirtualSizeBytes: number },
): Promise<Inspection> {
  // Opening a pipe must not wait for somebody to write into it.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = await handle.stat();
    const image = stats.isFile() ? await readImage(handle, stats.size) : null;
    return await inspectImage(image, declaredFormat, limits);
  } finally {
    await handle.close();
  }
}

async function readImage(handle: FileHandle, sizeBytes: number): Promise<ImageFile> {
  const read = async (offset: number, length: number) => {
    const wanted = Math.min(length, maxReadBytes, Math.max(0, sizeBytes - offset));
    const bytes = Buffer.alloc(wanted);
    let filled = 0;
    while (filled < wanted) {
      const { bytesRead } = await handle.read(bytes, filled, wanted - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  };
  return { head: { bytes: await read(0, maxHeadBytes), fileSizeBytes: sizeBytes }, sizeBytes, read };
}
