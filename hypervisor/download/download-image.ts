import { EverbootFailure, failureKind } from '../../domain/failures.ts';
import type { ImageDescription } from '../../domain/image.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import type { ImageSourceSettings } from '../sources/describe-image.ts';
import { byteSource } from '../sources/open-source.ts';
import { throwIfTooLarge } from '../sources/size-limit.ts';
import { type Fetch, fetchRest, startOver } from './fetch-rest.ts';
import { type FetchTime, fetchTime, overdueFailure } from './fetch-time.ts';
import { type JudgeHead, watchHead } from './head-watch.ts';
import { openPartFile } from './part-file.ts';
import { removePart, verifiedSize } from './part-state.ts';

export interface DownloadOrder {
  readonly image: ImageDescription;
  /** Where the bytes go; the checkpoint is beside it, `<part>.json`. Nobody else may write them meanwhile. */
  readonly partPath: string;
  /** When all attempts together are over, as a time of the clock. */
  readonly deadlineMs: number;
  readonly judgeHead?: JudgeHead;
}

export interface Downloaded {
  readonly sizeBytes: number;
  /** The byte that this call went on from; the size, when nothing was left to do. */
  readonly resumedAtBytes: number;
}

const reportEveryMs = 250;

/**
 * Fetches an image into its partial file, verified. What is on disk from an earlier attempt is hashed again and gone on
 * from. Whatever ends it, the file and its checkpoint stay so that the next attempt goes on; only a refusal removes them.
 *
 * Throws GlanceUnavailable or SourceUnreachable after a round without progress, GlanceConnectionFailed or
 * SourceUnavailable when the time is over, SourceChanged when it has to begin anew, ImageTooLarge, ImageDigestMismatch,
 * ImageNotFound, ImageForbidden, ImageNotActive, what `judgeHead` throws, and the signal's own reason.
 */
export async function downloadImage(
  { image, partPath, deadlineMs, judgeHead }: DownloadOrder,
  settings: ImageSourceSettings,
  control: WorkControl,
): Promise<Downloaded> {
  const verifiedBytes = await verifiedSize(partPath, image);
  if (verifiedBytes !== undefined) return { sizeBytes: verifiedBytes, resumedAtBytes: verifiedBytes };

  const { imageMaxBytes } = settings.glance;
  throwIfTooLarge(image.title, image.sizeBytes, settings.glance);
  const source = byteSource(image, settings);
  const time = fetchTime(deadlineMs, control.signal);
  const part = await openPartFile(partPath, image);
  const fetch: Fetch = {
    image,
    source,
    part,
    head: watchHead(image, imageMaxBytes, judgeHead),
    maxBytes: imageMaxBytes,
    lastErrors: new Map(Object.entries(part.state.lastErrors)),
    signal: time.signal,
    report: reporter(() => ({ doneBytes: part.position(), totalBytes: part.state.totalBytes }), control),
    resumedAtBytes: 0,
    isPieced: false,
  };
  try {
    await takeUp(fetch);
    await fetchRest(fetch);
    await verify(fetch);
    return { sizeBytes: part.position(), resumedAtBytes: fetch.resumedAtBytes };
  } catch (error) {
    const failure = await settleFailure(fetch, time, error);
    control.signal.throwIfAborted();
    throw failure;
  } finally {
    time.end();
    await part.close();
  }
}

/** Goes on from what is on disk, unless that did not verify before and the image has to come in one piece. */
async function takeUp(fetch: Fetch): Promise<void> {
  const { part, head, signal, report } = fetch;
  if (part.state.onePiece) return await startOver(fetch);
  fetch.resumedAtBytes = part.state.syncedBytes;
  fetch.isPieced = part.state.syncedBytes > 0;
  await part.takeUp((bytes) => {
    head.see(bytes, part.state.totalBytes);
    report();
  }, signal);
}

/** A digest that is wrong after a resume is worth one clean fetch; one that is wrong after that is final. */
async function verify(fetch: Fetch): Promise<void> {
  const { image, part, isPieced } = fetch;
  const hex = await part.digest();
  if (image.digest === null || image.digest.hex === hex) {
    part.state.verified = true;
    part.state.lastErrors = {};
    await part.checkpoint();
    return;
  }
  const found = `${image.title} has the ${image.digest.algorithm} digest ${hex}, and ought to have ${image.digest.hex}`;
  if (!isPieced || part.state.onePiece) throw new EverbootFailure('ImageDigestMismatch', found);
  await startOver(fetch, { onePiece: true });
  throw new EverbootFailure('SourceChanged', `put together from several answers, ${found}`);
}

/** Leaves the disk as the next attempt wants it, and says what the failure is called. */
async function settleFailure(fetch: Fetch, time: FetchTime, error: unknown): Promise<unknown> {
  const { part, source, lastErrors } = fetch;
  if (error instanceof EverbootFailure && failureKind(error.code).imageRefused === true) {
    await part.close();
    await removePart(part.path);
    return error;
  }
  part.state.lastErrors = Object.fromEntries(lastErrors);
  // Whatever is wrong with the disk is in the error already.
  await part.checkpoint().catch(() => undefined);
  const isRound = error instanceof EverbootFailure && error.code === source.failure;
  return time.isOver() && (isRound || time.signal.aborted) ? overdueFailure(fetch) : error;
}

/** Says how far it is, a few times a second. */
function reporter(progress: () => Parameters<WorkControl['onProgress']>[0], control: WorkControl): () => void {
  let lastMs = 0;
  return () => {
    if (Date.now() - lastMs < reportEveryMs) return;
    lastMs = Date.now();
    control.onProgress(progress());
  };
}
