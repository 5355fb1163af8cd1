import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { EverbootFailure, failureKind } from '../../../domain/failures.ts';
import type { ImageDescription } from '../../../domain/image.ts';
import type { WorkControl } from '../../../domain/step-progress.ts';
import { readBootId } from '../../files/boot-id.ts';
import { copyFile } from '../../files/copy-file.ts';
import type { ImageSourceSettings } from '../../sources/describe-image.ts';
import { fileVersion, openImageFile } from '../../sources/file-image.ts';
import { type DirectPlaces, directPlaces } from '../../sources/glance-locations.ts';
import { type JudgeHead, watchHead } from './head-watch.ts';
import { heldBytes, readPartState, removePart, writePartState } from './part-state.ts';

/** Smaller ones are read faster than a program is started. */
const leastBytes = 2 ** 20;
const headBytes = 2 ** 20;

export interface LocalCopyOrder {
  readonly image: ImageDescription;
  readonly partPath: string;
  readonly judgeHead?: JudgeHead;
  readonly heldLocks: readonly number[];
}

export interface LocalCopy {
  /** True: the partial file is a copy now, and nothing but that. */
  readonly isCopy: boolean;
  /**
   * Why an image that the host would take from a direct URL was not; absent where nobody wanted that. Names no path.
   */
  readonly notDirect?: string;
}

/**
 * Copies an image that is on this host into its partial file, before anything is read through Node: the blocks are
 * shared where the file system can, and holes stay holes. What was copied is not verified yet. Does nothing where the
 * image is not here, or something of it was fetched before; a copy that was interrupted begins again. Whatever is wrong
 * with the file, the image takes its usual way then: it may do without the file, or says itself what is wrong.
 *
 * Throws what `judgeHead` throws of a `{file}`, before anything is copied, InsufficientSpace, and the signal's reason.
 */
export async function copyIfLocal(
  order: LocalCopyOrder,
  settings: ImageSourceSettings,
  control: WorkControl,
): Promise<LocalCopy> {
  const { image, partPath } = order;
  const state = await readPartState(partPath, image);
  // What did not verify before has to come from its source, in one piece.
  if (state.onePiece || (await heldBytes(state, await sizeOf(partPath))) > 0) return { isCopy: false };
  if (image.sizeBytes !== null && image.sizeBytes < leastBytes) return { isCopy: false };
  const { reference } = image;
  const places: DirectPlaces =
    'file' in reference ? { paths: [reference.file] } : await directPlaces(image, settings, control.signal);
  let found = places.reason;
  for (const path of places.paths) {
    found = await copyFrom(path, order, settings, control);
    if (found === undefined) return { isCopy: true };
  }
  return { isCopy: false, ...('glance' in reference && found !== undefined ? { notDirect: found } : {}) };
}

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

/** Says why the file was not copied; undefined when it was. */
async function copyFrom(
  path: string,
  order: LocalCopyOrder,
  { glance, fileImageRoots }: ImageSourceSettings,
  control: WorkControl,
): Promise<string | undefined> {
  const { image, partPath } = order;
  let source: FileHandle | undefined;
  try {
    source = await openImageFile(path, fileImageRoots);
    const version = await fileVersion(source);
    const { size } = await source.stat();
    const isExpected = image.sizeBytes === null ? size <= glance.imageMaxBytes : size === image.sizeBytes;
    if (!isExpected || size < leastBytes) return `the file has ${size} bytes, the image ${image.sizeBytes}`;
    await judge(source, size, order, glance.imageMaxBytes);
    return await copyWhole(source, { size, version }, order, control);
  } catch (error) {
    control.signal.throwIfAborted();
    if (isNoWayRound(error, image)) {
      // Half a copy is of no use to anybody, and may be what took the space.
      await removePart(partPath);
      throw error;
    }
    return wordsOf(error, path);
  } finally {
    await source?.close();
  }
}

/** A file that Glance only names may not be the image: what is wrong with the file says nothing of the image yet. */
function isNoWayRound(error: unknown, { reference }: ImageDescription): boolean {
  if (!(error instanceof EverbootFailure)) return false;
  if (error.code === 'InsufficientSpace') return true;
  return 'file' in reference && failureKind(error.code).imageRefused === true;
}

/** These words go into a history, and Glance's paths are nobody's business but the host's. */
function wordsOf(error: unknown, path: string): string {
  if (error instanceof EverbootFailure) return error.message.replaceAll(path, 'the file').slice(0, 500);
  return `the file could not be copied (${(error as NodeJS.ErrnoException).code ?? 'an error without a code'})`;
}

async function judge(source: FileHandle, size: number, { image, judgeHead }: LocalCopyOrder, maxBytes: number) {
  const head = Buffer.alloc(Math.min(headBytes, size));
  const { bytesRead } = await source.read(head, 0, head.length, 0);
  watchHead(image, maxBytes, judgeHead).see(head.subarray(0, bytesRead), size);
}

async function copyWhole(
  source: FileHandle,
  { size, version }: { readonly size: number; readonly version: string },
  { image, partPath, heldLocks }: LocalCopyOrder,
  control: WorkControl,
): Promise<string | undefined> {
  // Nothing is promised of the file until the copy is whole.
  const state = await readPartState(partPath, image);
  const nothing = { ...state, syncedBytes: 0, writtenBytes: 0, bootId: '', validator: null, verified: false };
  await writePartState(partPath, nothing);
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  await (await open(partPath, flags, 0o640)).close();
  await copyFile({ source, destination: partPath, heldLocks }, control);
  const isWhole = (await stat(partPath)).size === size && (await fileVersion(source)) === version;
  if (!isWhole) return 'the file changed while it was copied';
  await writePartState(partPath, {
    ...nothing,
    writtenBytes: size,
    bootId: await readBootId(),
    totalBytes: size,
    // Another source of the same image has marks of its own.
    validator: 'file' in image.reference ? version : null,
  });
  return undefined;
}
