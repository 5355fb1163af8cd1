import type { GlanceSettings } from '../../domain/configuration.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HttpAnswer } from '../http/http-request.ts';
import { statusFailure } from '../http/http-status.ts';
import type { BytePosition, ByteSource, OpenedImage } from './byte-source.ts';

export interface HttpPlaces {
  readonly kind: 'glance' | 'url';
  readonly title: string;
  /** The places asked in turn, as messages name them. Never empty. */
  readonly places: readonly string[];
  /** Asks one of them for the image's bytes. */
  readonly send: (place: string, headers: Readonly<Record<string, string>>, signal: AbortSignal) => Promise<HttpAnswer>;
}

/**
 * An image behind HTTP. The first request has no Range, because ranges bypass Glance's own cache. A 206 counts only if
 * it says exactly what was asked for: Glance answers 206 with the whole image where its store cannot seek.
 */
export function httpByteSource({ kind, title, places, send }: HttpPlaces, { numRetries }: GlanceSettings): ByteSource {
  const distrusted = new Set<string>();
  const final = kind === 'glance' ? 'GlanceConnectionFailed' : 'SourceUnavailable';
  return {
    places,
    attempts: 1 + numRetries,
    failure: kind === 'glance' ? 'GlanceUnavailable' : 'SourceUnreachable',
    finalFailure: final,
    distrust: (place) => void distrusted.add(place),
    async open(place, position, signal) {
      const fromByte = distrusted.has(place) ? 0 : position.fromByte;
      const range: Record<string, string> = fromByte === 0 ? {} : { range: `bytes=${fromByte}-` };
      const answer = await send(place, range, signal);
      try {
        const opened = openedAnswer(answer, { ...position, fromByte });
        if (opened !== 'wrong range') return opened;
        if (answer.status !== 206 && answer.status !== 416) throw statusFailure(answer, kind, title);
        distrusted.add(place);
        throw new EverbootFailure(
          'SourceUnreachable',
          `${answer.address} answered ${answer.status} with another range than bytes ${fromByte} to the end`,
        );
      } catch (error) {
        answer.close();
        throw error;
      }
    },
  };
}

function openedAnswer(answer: HttpAnswer, position: BytePosition): OpenedImage | 'wrong range' {
  const { status, headers, body, close } = answer;
  const validator = headers.etag ?? headers['last-modified'] ?? null;
  const opened = { validator: validator?.slice(0, 500) ?? null, body, close };
  if (status === 200) return { ...opened, startByte: 0, totalBytes: contentLength(answer) };
  const { fromByte } = position;
  if (status === 206 && fromByte > 0) {
    const totalBytes = totalOfRange(answer, position);
    return totalBytes === undefined ? 'wrong range' : { ...opened, startByte: fromByte, totalBytes };
  }
  if (status === 416 && fromByte > 0 && isAllThere(answer, position)) {
    close();
    return { ...opened, body: nothing(), startByte: fromByte, totalBytes: fromByte };
  }
  return 'wrong range';
}

/** The whole size, if the range is the one from the byte asked for to the end and the body has its length. */
function totalOfRange(answer: HttpAnswer, { fromByte, sizeBytes }: BytePosition): number | undefined {
  const range = answer.headers['content-range']?.match(/^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/);
  if (range === null || range === undefined) return undefined;
  const [start, end] = [Number(range[1]), Number(range[2])];
  const total = range[3] === '*' ? sizeBytes : Number(range[3]);
  const length = contentLength(answer);
  const agrees =
    start === fromByte &&
    total !== null &&
    end === total - 1 &&
    (sizeBytes === null || total === sizeBytes) &&
    (length === null || length === total - fromByte);
  return agrees ? total : undefined;
}

/** Nothing beyond the byte asked for: the image was complete, its size unknown. The digest has the last word. */
function isAllThere({ headers }: HttpAnswer, { fromByte, sizeBytes }: BytePosition): boolean {
  const total = headers['content-range']?.match(/^bytes \*\/(\d{1,15})$/)?.[1];
  return total === undefined ? sizeBytes === null : Number(total) === fromByte;
}

function contentLength({ headers }: HttpAnswer): number | null {
  const text = headers['content-length'];
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
