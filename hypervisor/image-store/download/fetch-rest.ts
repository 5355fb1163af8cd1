import { EverbootFailure } from '../../../domain/failures.ts';
import type { ImageDescription } from '../../../domain/image.ts';
import type { RateLimit } from '../../http/rate-limit.ts';
import { attemptRound } from '../../sources/attempt-round.ts';
import type { ByteSource, OpenedImage } from '../../sources/byte-source.ts';
import type { HeadWatch } from './head-watch.ts';
import type { PartFile } from './part-file.ts';

/** One fetch of an image, from wherever it stands to its last byte. */
export interface Fetch {
  readonly image: ImageDescription;
  readonly source: ByteSource;
  readonly part: PartFile;
  readonly head: HeadWatch;
  readonly maxBytes: number;
  readonly lastErrors: Map<string, string>;
  readonly signal: AbortSignal;
  readonly rateLimit: RateLimit | undefined;
  readonly report: () => void;
  /** The byte on disk that this call continued from. */
  resumedAtBytes: number;
  /** True: the bytes did not come in one answer of announced length, so a wrong digest may be the line's fault. */
  isPieced: boolean;
}

/**
 * Gets what is missing of an image, over the source's places in turn, and continues after every cut at the byte where
 * it stands. A place that sends the whole image instead makes it restart.
 *
 * Throws the source's failure after a round without progress, SourceChanged, ImageTooLarge, and the source's final
 * ones.
 */
export async function fetchRest(fetch: Fetch): Promise<void> {
  const { source, part, signal, lastErrors } = fetch;
  const { places, attempts, failure } = source;
  let progressed = false;
  if (part.position() !== part.state.totalBytes) {
    await attemptRound(
      { places, attempts, failure, lastErrors, signal },
      async (place) => {
        progressed = false;
        const fromByte = part.state.onePiece ? 0 : part.position();
        const opened = await source.open(place, { fromByte, sizeBytes: part.state.totalBytes }, signal);
        try {
          await settleStart(fetch, place, opened);
          for await (const bytes of opened.body) {
            await fetch.rateLimit?.take(bytes.length, signal);
            await take(fetch, place, opened, bytes);
            giveBack(bytes);
            progressed = true;
          }
        } finally {
          opened.close();
        }
        settleEnd(fetch, place);
      },
      () => progressed,
    );
  }
  fetch.head.end(part.position());
}

/** Throws away what is on disk, and begins at the first byte. */
export async function startOver(fetch: Fetch, changes: { startedOver?: true; onePiece?: true } = {}): Promise<void> {
  fetch.head.restart();
  fetch.resumedAtBytes = 0;
  fetch.isPieced = false;
  await fetch.part.startOver(changes);
}

/** Makes the file and an answer agree on where the next byte belongs, and on how many there are. */
async function settleStart(fetch: Fetch, place: string, opened: OpenedImage): Promise<void> {
  const { image, part, maxBytes } = fetch;
  const { startByte, totalBytes, validator } = opened;
  const mostBytes = image.sizeBytes ?? maxBytes;
  if (totalBytes !== null && totalBytes > mostBytes) throw tooLarge(fetch, `${totalBytes} bytes, not ${mostBytes}`);
  if (totalBytes !== null && totalBytes < (image.sizeBytes ?? 0)) {
    const found = `${image.title} has ${totalBytes} bytes at ${place}, and had ${image.sizeBytes}`;
    if (part.state.startedOver) throw new EverbootFailure('ImageDigestMismatch', found);
    throw await changed(fetch, found);
  }
  if (startByte > 0) {
    const before = part.state.validator;
    // A second change is ignored: servers that take turns may never agree on an ETag, and the digest decides.
    if (before !== null && validator !== null && before !== validator && !part.state.startedOver) {
      throw await changed(fetch, `${image.title} changed at ${place} after ${startByte} bytes of it were fetched`);
    }
    fetch.isPieced = true;
  } else {
    if (part.position() > 0) await startOver(fetch);
    part.state.validator = validator;
  }
  part.state.totalBytes = totalBytes ?? image.sizeBytes;
}

async function changed(fetch: Fetch, found: string): Promise<EverbootFailure> {
  await startOver(fetch, { startedOver: true });
  return new EverbootFailure('SourceChanged', found);
}

/** One piece of the body. Nothing beyond the image's size is ever written. */
async function take(fetch: Fetch, place: string, { startByte }: OpenedImage, bytes: Uint8Array): Promise<void> {
  const { part, head, source, maxBytes } = fetch;
  const { totalBytes } = part.state;
  const limit = totalBytes ?? maxBytes;
  if (part.position() + bytes.length > limit) {
    if (startByte === 0) throw tooLarge(fetch, `more than ${limit} bytes`);
    // A rest that is too long is another part of the image, or all of it: what came of it is wrong.
    source.distrust(place);
    await startOver(fetch);
    throw new EverbootFailure('SourceUnreachable', `${place} sent more than what follows byte ${startByte}`);
  }
  head.see(bytes, totalBytes);
  await part.append(bytes);
  fetch.report();
}

/**
 * Frees a piece's memory at once. Left to the garbage collector, it has V8 search its whole heap again for every few
 * MiB received, which in a worker takes longer than to hash them. A piece that shares its memory with others keeps it.
 */
function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

function settleEnd(fetch: Fetch, place: string): void {
  const { state, position } = fetch.part;
  if (state.totalBytes === null) {
    state.totalBytes = position();
    fetch.isPieced = true;
  }
  if (position() === state.totalBytes) return;
  throw new EverbootFailure('SourceUnreachable', `${place} ended after ${position()} of ${state.totalBytes} bytes`);
}

function tooLarge({ image }: Fetch, found: string): EverbootFailure {
  return new EverbootFailure('ImageTooLarge', `${image.title} is larger than it may be: its source sends ${found}`);
}
