import { EverbootFailure } from '../../domain/failures.ts';
import type { HttpAnswer } from './http-request.ts';

/** Answers that another attempt, or another server, may better. */
const passingStatuses = new Set([408, 429, 500, 502, 503, 504]);

/** However long a server wants us to wait, we ask again after a minute. */
const maxRetryAfterMs = 60_000;

/**
 * The failure that an answer without the image means. SourceUnreachable is the attempt's failure and may pass;
 * everything else is final, whatever the number of servers, as in Nova.
 */
export function statusFailure(answer: HttpAnswer, kind: 'glance' | 'url', title: string): EverbootFailure {
  const { status, address } = answer;
  const said = `${address} answered ${status}`;
  if (status === 401 || status === 403) return new EverbootFailure('ImageForbidden', `${title}: ${said}`);
  if (status === 404 || status === 410) return new EverbootFailure('ImageNotFound', `${title}: ${said}`);
  if (status === 204 && kind === 'glance') {
    return new EverbootFailure('ImageNotActive', `${title}: ${said}, it has no data of the image`);
  }
  const final = kind === 'glance' ? 'GlanceConnectionFailed' : 'SourceUnavailable';
  return passingFailure(answer) ?? new EverbootFailure(final, `${title}: ${said}`);
}

/** SourceUnreachable for an answer that another attempt may better; undefined for every other answer. */
export function passingFailure(answer: HttpAnswer): EverbootFailure | undefined {
  const { status, address } = answer;
  if (!passingStatuses.has(status)) return undefined;
  const retryAfterMs = retryAfter(answer);
  const details = retryAfterMs === undefined ? {} : { retryAfterMs };
  return new EverbootFailure('SourceUnreachable', `${address} answered ${status}`, details);
}

/** Retry-After, in seconds or as a date. */
function retryAfter({ status, headers }: HttpAnswer): number | undefined {
  const text = headers['retry-after'];
  if ((status !== 429 && status !== 503) || text === undefined) return undefined;
  const waitMs = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(waitMs, 0), maxRetryAfterMs);
}
