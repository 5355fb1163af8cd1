import type { GlanceSettings } from '../../domain/configuration.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { ImageDescription, ImageReference } from '../../domain/image.ts';
import { type HttpAnswer, sendRequest, shownAddress } from '../http/http-request.ts';
import { statusFailure } from '../http/http-status.ts';
import { attemptRound } from './attempt-round.ts';
import { digestOfSpec } from './image-digest.ts';
import { throwIfTooLarge } from './size-limit.ts';

/** The address of a `{url}`. Throws SourceUnavailable unless it is http or https. */
export function imageUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw new EverbootFailure('SourceUnavailable', 'the image’s url is not an http or https address');
}

/**
 * Asks a web server for an image's size. The digest of the spec says what the image is; nothing else has to.
 *
 * Throws ImageUnverifiable, ImageNotFound, ImageForbidden, ImageTooLarge, SourceUnavailable, and SourceUnreachable
 * after a few tries.
 */
export async function describeUrlImage(
  reference: Extract<ImageReference, { readonly url: string }>,
  glance: GlanceSettings,
  signal: AbortSignal,
): Promise<ImageDescription> {
  const url = imageUrl(reference.url);
  const title = lastPart(url);
  const digest = digestOfSpec({ digest: reference.digest, title }, glance);
  const round = {
    places: [shownAddress(url)],
    attempts: 1 + glance.numRetries,
    failure: 'SourceUnreachable',
    lastErrors: new Map<string, string>(),
    signal,
  } as const;
  const answer = await attemptRound(round, async () => await askForSize(url, title, glance, signal));
  const length = answer.headers['content-length'];
  const sizeBytes = length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : null;
  throwIfTooLarge(title, sizeBytes, glance);
  const described = { reference, title, format: reference.format, sizeBytes, digest };
  const version = answer.headers.etag ?? answer.headers['last-modified'];
  // A digest says what the image is, from wherever it comes; without one only the server can say that it changed.
  const changing = digest === null && version !== undefined ? { version: version.slice(0, 200) } : {};
  return { ...described, ...changing, minDiskGb: 0, minRamMb: 0, properties: {} };
}

/**
 * HEAD, and where that fails a GET whose body is not read: some servers know no HEAD, and an address that is signed for
 * GET is signed for nothing else.
 */
async function askForSize(url: URL, title: string, glance: GlanceSettings, signal: AbortSignal): Promise<HttpAnswer> {
  const times = { connectTimeoutMs: glance.connectTimeout * 1000, stallTimeoutMs: glance.stallTimeout * 1000, signal };
  const head = await sendRequest({ url, method: 'HEAD', ...times });
  head.close();
  if (head.status === 200) return head;
  const answer = await sendRequest({ url, method: 'GET', ...times });
  answer.close();
  if (answer.status === 200) return answer;
  throw statusFailure(answer, 'url', title);
}

function lastPart(url: URL): string {
  const part = url.pathname.split('/').filter(Boolean).at(-1) ?? url.host;
  return part.slice(0, 255);
}
