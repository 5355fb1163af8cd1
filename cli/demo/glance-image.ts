import { readFile } from 'node:fs/promises';
import { EverbootFailure } from '../../domain/failures.ts';
import type { GuestImage } from './guest-image.ts';

const requestTimeoutMs = 120_000;

/**
 * Registers the guest's image under an id of our choice in a Glance without tokens, and uploads its bytes. Throws
 * GlanceConnectionFailed with what the server said; the image may be partial by then.
 */
export async function uploadToGlance(
  glanceUrl: string,
  id: string,
  { image, signal }: { readonly image: Pick<GuestImage, 'path'>; readonly signal: AbortSignal },
): Promise<void> {
  const body = JSON.stringify({ id, name: 'everboot demo', disk_format: 'qcow2', container_format: 'bare' });
  await ask(imageUrl(glanceUrl), 'POST', { body, headers: { 'content-type': 'application/json' }, signal });
  const bytes = await readFile(image.path);
  const headers = { 'content-type': 'application/octet-stream' };
  await ask(`${imageUrl(glanceUrl, id)}/file`, 'PUT', { body: bytes, headers, signal });
}

/** Removes an uploaded image; one that is not there is no failure. */
export async function removeFromGlance(glanceUrl: string, id: string): Promise<void> {
  await ask(imageUrl(glanceUrl, id), 'DELETE', { signal: new AbortController().signal }, [404]);
}

/** The base URL may be given with or without the API's version. */
export function imageUrl(glanceUrl: string, id = ''): string {
  const images = `${glanceUrl.replace(/\/+$/, '').replace(/\/v2$/, '')}/v2/images`;
  return id === '' ? images : `${images}/${encodeURIComponent(id)}`;
}

async function ask(
  url: string,
  method: string,
  request: RequestInit & { readonly signal: AbortSignal },
  accepted: readonly number[] = [],
): Promise<Response> {
  const limit = AbortSignal.timeout(requestTimeoutMs);
  let answer: Response;
  try {
    answer = await fetch(url, { ...request, method, signal: AbortSignal.any([request.signal, limit]) });
  } catch (cause) {
    request.signal.throwIfAborted();
    const words = cause instanceof Error ? String(cause.cause ?? cause.message) : String(cause);
    throw new EverbootFailure('GlanceConnectionFailed', `${method} ${url}: ${words}`, { cause });
  }
  if (answer.ok || accepted.includes(answer.status)) return answer;
  const said = (await answer.text()).replace(/\s+/g, ' ').slice(0, 200);
  throw new EverbootFailure('GlanceConnectionFailed', `${method} ${url} answered ${answer.status}: ${said}`);
}
