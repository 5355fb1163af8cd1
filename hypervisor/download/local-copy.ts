import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { ImageDescription } from '../../domain/image.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { copyFile } from '../copy-file.ts';
import type { ImageSourceSettings } from '../sources/describe-image.ts';
import { fileVersion, openImageFile } from '../sources/file-image.ts';
import { directPaths } from '../sources/glance-locations.ts';
import { type JudgeHead, watchHead } from './head-watch.ts';
import { freshState, heldBytes, readPartState, removePart, thisBoot, writePartState } from './part-state.ts';

/** Smaller ones are read faster than a program is started. */
const leastBytes = 2 ** 20;
const headBytes = 2 ** 20;

export interface LocalCopyOrder {
  readonly image: ImageDescription;
  readonly partPath: string;
  readonly judgeHead?: JudgeHead;
  readonly heldLocks: readonly number[];
}

/**
 * Copies an image that lies on this host into its partial file, before anything is read through Node: the blocks are
 * shared where the file system can, and holes stay holes. What was copied is not verified yet. Does nothing where the
 * image is not here, or something of it was fetched before; a copy that was interrupted begins again. Returns whether
 * the partial file is now a copy, and nothing but that.
 *
 * Throws what `judgeHead` throws, before anything is copied, and the signal's reason.
 */
export async function copyIfLocal(
  order: LocalCopyOrder,
  settings: ImageSourceSettings,
  control: WorkControl,
): Promise<boolean> {
  const { image, partPath } = order;
  const state = await readPartState(partPath, image);
  // What did not verify before has to come from its source, in one piece.
  if (state.onePiece || (await heldBytes(state, await sizeOf(partPath))) > 0) return false;
  const source = await openLocal(image, settings, control.signal);
  if (source === undefined) return false;
  try {
    const { size } = await source.stat();
    const isExpected = image.sizeBytes === null ? size <= settings.glance.imageMaxBytes : size === image.sizeBytes;
    if (!isExpected || size < leastBytes) return false;
    await judge(source, order, settings.glance.imageMaxBytes);
    return await copyWhole(source, order, control);
  } finally {
    await source.close();
  }
}

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

/** The image's own file, or one that Glance says holds it; only in the folders that the host's operator named. */
async function openLocal(
  image: ImageDescription,
  settings: ImageSourceSettings,
  signal: AbortSignal,
): Promise<FileHandle | undefined> {
  const { reference } = image;
  const paths = 'file' in reference ? [reference.file] : await directPaths(image, settings, signal);
  for (const path of paths) {
    // Whatever is wrong with it: the way that the image takes without it says so, or does not need it.
    const file = await openImageFile(path, settings.fileImageRoots).catch(() => undefined);
    if (file !== undefined) return file;
  }
  return undefined;
}

async function judge(source: FileHandle, { image, partPath, judgeHead }: LocalCopyOrder, maxBytes: number) {
  const { size } = await source.stat();
  const head = Buffer.alloc(Math.min(headBytes, size));
  const { bytesRead } = await source.read(head, 0, head.length, 0);
  try {
    watchHead(image, maxBytes, judgeHead).see(head.subarray(0, bytesRead), size);
  } catch (error) {
    await removePart(partPath);
    throw error;
  }
}

async function copyWhole(
  source: FileHandle,
  { image, partPath, heldLocks }: LocalCopyOrder,
  control: WorkControl,
): Promise<boolean> {
  const version = await fileVersion(source);
  const { size } = await source.stat();
  // Nothing is promised of the file until the copy is whole.
  await writePartState(partPath, { ...freshState(image), totalBytes: image.sizeBytes });
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  await (await open(partPath, flags, 0o640)).close();
  await copyFile({ source, destination: partPath, heldLocks }, control);
  const isWhole = (await stat(partPath)).size === size && (await fileVersion(source)) === version;
  if (!isWhole) return false;
  const isFile = 'file' in image.reference;
  await writePartState(partPath, {
    ...freshState(image),
    writtenBytes: size,
    bootId: await thisBoot(),
    totalBytes: size,
    // Another source of the same image has marks of its own.
    validator: isFile ? version : null,
  });
  return true;
}
