import { createHash } from 'node:crypto';
import { lstat } from 'node:fs/promises';
import type { ImageDescription } from '../../../domain/image.ts';
import { readBootId } from '../../files/boot-id.ts';
import { publishText } from '../../files/publish-file.ts';
import { readStateFile, removeFile } from '../../files/small-file.ts';

/** The sidecar of a partial file: which image it is, and how much of it survives a crash. */
export interface PartState {
  readonly version: 1;
  /** SHA-256 over what makes this the same image; addresses stay out of it, since some of them are secrets. */
  readonly source: string;
  /** Everything before this byte is on disk, and survives a crash of the machine. */
  syncedBytes: number;
  /**
   * Everything before this byte was given to the kernel, and survives the worker; it counts as long as the boot lasts.
   */
  writtenBytes: number;
  /** The boot of the machine in which the file was written last; empty: nothing of it may be relied on. */
  bootId: string;
  /** Whose fetch this is, and how long its attempts took together, in milliseconds. */
  fetcher: string;
  spentMs: number;
  /** The image's size, null as long as nobody said it. */
  totalBytes: number | null;
  /** The source's validator, such as its ETag, when the first byte came. */
  validator: string | null;
  /** True: the source changed once already, and the fetch restarted. */
  startedOver: boolean;
  /** True: a file made of several pieces did not verify, so that the next one has to come in one piece. */
  onePiece: boolean;
  /** True: the file is complete and has its digest. */
  verified: boolean;
  /** The certificate by which the complete file's signature verified; null where none was checked. */
  signedBy: string | null;
  /** The last error of each place that failed, for the message when the time is over. */
  lastErrors: Record<string, string>;
}

/** The partial file's checkpoint beside it. */
function sidecarPath(partPath: string): string {
  return `${partPath}.json`;
}

/** A state in which nothing was fetched yet. */
function freshState(image: ImageDescription): PartState {
  return {
    version: 1,
    source: sourceIdentity(image),
    syncedBytes: 0,
    writtenBytes: 0,
    bootId: '',
    fetcher: '',
    spentMs: 0,
    totalBytes: image.sizeBytes,
    validator: null,
    startedOver: false,
    onePiece: false,
    verified: false,
    signedBy: null,
    lastErrors: {},
  };
}

/** Reads this image's state from disk; a fresh state where there is none, or one of another image. */
export async function readPartState(partPath: string, image: ImageDescription): Promise<PartState> {
  const fresh = freshState(image);
  const kept = (await readStateFile(sidecarPath(partPath))) as Partial<PartState> | null | undefined;
  if (kept?.version !== fresh.version || kept.source !== fresh.source) return fresh;
  if (!Number.isSafeInteger(kept.syncedBytes)) return fresh;
  return { ...fresh, ...kept, totalBytes: image.sizeBytes ?? kept.totalBytes ?? null };
}

/** Blocks are written concurrently, so that this much of the file's end may have gaps after a crash of the worker. */
export const unsettledBytes = 4 * 2 ** 20;

/**
 * How many bytes of a partial file of that size can be continued from. What was written in this boot of the machine is
 * there, whatever became of the worker; after another boot only what was synced is.
 */
export async function heldBytes(state: PartState, sizeBytes: number): Promise<number> {
  const { syncedBytes, writtenBytes, bootId } = state;
  const isThisBoot = bootId === (await readBootId());
  const promised = isThisBoot ? Math.max(syncedBytes, writtenBytes) : syncedBytes;
  // Shorter than it was: the file was lost or replaced, and nothing in it can be relied on.
  if (sizeBytes < promised) return 0;
  return isThisBoot ? Math.max(promised, sizeBytes - unsettledBytes) : promised;
}

/**
 * The size of a partial file that is complete and was verified, with its signature where the image is to have one;
 * undefined where there is still something to do.
 */
export async function verifiedSize(partPath: string, image: ImageDescription): Promise<number | undefined> {
  const state = await readPartState(partPath, image);
  const found = await lstat(partPath).catch(() => undefined);
  if (!state.verified || found?.isFile() !== true || found.size !== state.totalBytes) return undefined;
  if (image.signature !== undefined && state.signedBy !== image.signature.certificateId) return undefined;
  return (await heldBytes(state, found.size)) === found.size ? found.size : undefined;
}

/**
 * Removes a partial file that nobody is to continue from; the sidecar last, as it marks the file as ours. What it
 * promises of a file that is gone or shorter counts for nothing.
 */
export async function removePart(partPath: string): Promise<void> {
  await removeFile(partPath);
  await removeFile(sidecarPath(partPath));
}

export async function writePartState(partPath: string, state: PartState): Promise<void> {
  await publishText(sidecarPath(partPath), `${JSON.stringify(state)}\n`, 0o640);
}

/**
 * Content that is named by a strong digest is the same from wherever it comes, so another address continues with the
 * same bytes. In Glance an image may be another one when its size, hash or `updated_at` is.
 */
function sourceIdentity({ reference, version, sizeBytes, digest }: ImageDescription): string {
  const place = 'glance' in reference ? reference.glance : 'url' in reference ? reference.url : reference.file;
  const isNamed = !('glance' in reference) && digest !== null;
  const identity = isNamed ? [digest] : [place, version ?? null, sizeBytes, digest];
  return createHash('sha256').update(JSON.stringify(identity)).digest('hex');
}
