import { EverbootFailure, failureKind } from '../../../domain/failures.ts';
import type { ImageDescription } from '../../../domain/image.ts';
import type { WorkControl } from '../../../domain/step-progress.ts';
import { signatureCheck, throwIfUnsigned } from '../../signatures/signature-check.ts';
import type { ImageSourceSettings } from '../../sources/describe-image.ts';
import { byteSource } from '../../sources/open-source.ts';
import { throwIfTooLarge } from '../../sources/size-limit.ts';
import { type Fetch, fetchRest, startOver } from './fetch-rest.ts';
import { type FetchTime, fetchTime, overdueFailure } from './fetch-time.ts';
import { type JudgeHead, watchHead } from './head-watch.ts';
import { copyIfLocal } from './local-copy.ts';
import { openPartFile } from './part-file.ts';
import { removePart, verifiedSize } from './part-state.ts';

export interface DownloadOrder {
  readonly image: ImageDescription;
  /** Where the bytes go; the checkpoint is beside it, `<part>.json`. Nobody else may write them meanwhile. */
  readonly partPath: string;
  /** How long all attempts of one fetcher may take together, not counting the time in between. */
  readonly timeMs: number;
  /** Whose fetch it is: another one has the whole time again. */
  readonly fetcher?: string;
  readonly judgeHead?: JudgeHead;
  /** Descriptors of the locks that every program which writes must hold. */
  readonly heldLocks?: readonly number[];
}

export interface Downloaded {
  readonly sizeBytes: number;
  /** The byte that this call continued from; the size, when nothing was left to do. */
  readonly resumedAtBytes: number;
  /** Why the image came through Glance’s API, where direct URLs are allowed. Names no path. */
  readonly notDirect?: string;
}

const reportEveryMs = 250;

/**
 * Fetches an image into its partial file, verified. What is on disk from an earlier attempt is hashed again and
 * continued from. Whatever ends it, the file and its checkpoint stay so that the next attempt continues; only a refusal
 * removes them.
 *
 * Throws GlanceUnavailable or SourceUnreachable after a round without progress, GlanceConnectionFailed or
 * SourceUnavailable when the time is over, SourceChanged when it has to restart, ImageTooLarge, ImageDigestMismatch,
 * ImageSignatureInvalid, ImageNotFound, ImageForbidden, ImageNotActive, what `judgeHead` throws, and the signal's own
 * reason.
 */
export async function downloadImage(
  { image, partPath, timeMs, fetcher = '', judgeHead, heldLocks = [] }: DownloadOrder,
  settings: ImageSourceSettings,
  control: WorkControl,
): Promise<Downloaded> {
  throwIfUnsigned(image, settings.glance);
  const verifiedBytes = await verifiedSize(partPath, image);
  if (verifiedBytes !== undefined) return { sizeBytes: verifiedBytes, resumedAtBytes: verifiedBytes };

  const { imageMaxBytes } = settings.glance;
  throwIfTooLarge(image.title, image.sizeBytes, settings.glance);
  const signature = await signatureCheck(image, settings.glance);
  const copyOrder = { image, partPath, heldLocks, ...(judgeHead && { judgeHead }) };
  const { isCopy, ...whyNot } = await copyIfLocal(copyOrder, settings, control);
  const source = byteSource(image, settings);
  const part = await openPartFile(partPath, image, signature);
  if (part.state.fetcher !== fetcher) Object.assign(part.state, { fetcher, spentMs: 0 });
  const time = fetchTime(timeMs - part.state.spentMs, control.signal);
  const fetch: Fetch = {
    image,
    source,
    part,
    head: watchHead(image, imageMaxBytes, judgeHead),
    maxBytes: imageMaxBytes,
    lastErrors: new Map(Object.entries(part.state.lastErrors)),
    signal: time.signal,
    rateLimit: settings.rateLimit,
    report: reporter(() => ({ doneBytes: part.position(), totalBytes: part.state.totalBytes }), control),
    resumedAtBytes: 0,
    isPieced: false,
  };
  try {
    await takeUp(fetch, isCopy);
    await fetchRest(fetch);
    await verify(fetch);
    return { sizeBytes: part.position(), resumedAtBytes: fetch.resumedAtBytes, ...whyNot };
  } catch (error) {
    const failure = await settleFailure(fetch, time, error);
    control.signal.throwIfAborted();
    throw failure;
  } finally {
    time.end();
    await part.close();
  }
}

/** Continues from what is on disk, unless that did not verify before and the image has to come in one piece. */
async function takeUp(fetch: Fetch, isCopy: boolean): Promise<void> {
  const { image, part, head, signal, report } = fetch;
  if (part.state.onePiece) return await startOver(fetch);
  fetch.resumedAtBytes = isCopy ? 0 : part.heldBytes;
  // A copy of the very file that was asked for is as good as one answer; where Glance only said that the image lies
  // there, its own answer is worth a try.
  fetch.isPieced = part.heldBytes > 0 && !(isCopy && 'file' in image.reference);
  await part.takeUp((bytes) => {
    head.see(bytes, part.state.totalBytes);
    report();
  }, signal);
}

/** Bytes that are wrong after a resume are worth one clean fetch; what is wrong after that is final. */
async function verify(fetch: Fetch): Promise<void> {
  const { image, part, isPieced } = fetch;
  const wrong = (await wrongDigest(fetch)) ?? (await wrongSignature(fetch));
  if (wrong === undefined) {
    const signedBy = image.signature?.certificateId ?? null;
    Object.assign(part.state, { verified: true, signedBy, lastErrors: {}, spentMs: 0 });
    // Not synced: it is about to be converted, or to be synced before it is published. After another boot it is hashed again.
    await part.note();
    return;
  }
  // Bytes with the right digest are those at the source, and no other fetch gets a better signature out of them.
  const isFinal = wrong.code === 'ImageSignatureInvalid' && image.digest !== null;
  if (isFinal || !isPieced || part.state.onePiece) throw wrong;
  await startOver(fetch, { onePiece: true });
  throw new EverbootFailure(
    'SourceChanged',
    `put together from several answers, or copied past Glance: ${wrong.message}`,
  );
}

async function wrongDigest({ image, part }: Fetch): Promise<EverbootFailure | undefined> {
  const { digest, title } = image;
  const hex = await part.digest();
  if (digest === null || digest.hex === hex) return undefined;
  const found = `${title} has the ${digest.algorithm} digest ${hex}, and ought to have ${digest.hex}`;
  return new EverbootFailure('ImageDigestMismatch', found);
}

async function wrongSignature({ image, part }: Fetch): Promise<EverbootFailure | undefined> {
  const { signature, title } = image;
  if (signature === undefined || (await part.hasSignature())) return undefined;
  const { keyType, hashMethod, certificateId } = signature;
  const found = `the signature of ${title} (${keyType}, ${hashMethod}) does not verify with the certificate ${certificateId}`;
  return new EverbootFailure('ImageSignatureInvalid', found);
}

/** Leaves the disk as the next attempt wants it, and says what the failure is called. */
async function settleFailure(fetch: Fetch, time: FetchTime, error: unknown): Promise<unknown> {
  const { part, source, lastErrors } = fetch;
  if (error instanceof EverbootFailure && failureKind(error.code).imageRefused === true) {
    await part.close();
    await removePart(part.path);
    return error;
  }
  const isRound = error instanceof EverbootFailure && error.code === source.failure;
  const isOverdue = time.isOver() && (isRound || time.signal.aborted);
  part.state.lastErrors = Object.fromEntries(lastErrors);
  // Whoever asks for the image again has the whole time again, and the bytes.
  part.state.spentMs = isOverdue ? 0 : part.state.spentMs + time.passedMs();
  // Whatever is wrong with the disk is in the error already.
  await part.note().catch(() => undefined);
  return isOverdue ? overdueFailure(fetch) : error;
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
