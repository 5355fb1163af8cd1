import type { GlanceSettings } from '../../domain/configuration.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { type HttpAnswer, sendRequest, shownAddress } from './http-request.ts';

const maxJsonBytes = 2 ** 20;

export interface JsonRequest {
  readonly url: URL;
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON, for a POST. */
  readonly body?: string;
  readonly ca?: string | null;
}

/** `json` is absent unless the server answered 200 or 201. */
export interface JsonAnswer {
  readonly answer: HttpAnswer;
  readonly json?: Readonly<Record<string, unknown>>;
}

/**
 * Gets a JSON object of at most 1 MiB. The whole of it has to be there within the time that a server may be silent, so
 * that one that drips does not hold a step that has no other limit.
 */
export async function requestJson(
  { method = 'GET', headers, ...request }: JsonRequest,
  { connectTimeout, stallTimeout }: GlanceSettings,
  signal: AbortSignal,
): Promise<JsonAnswer> {
  const limitMs = Math.max(1, Math.round((connectTimeout + stallTimeout) * 1000));
  const late = AbortSignal.timeout(limitMs);
  try {
    const answer = await sendRequest({
      ...request,
      method,
      headers: { accept: 'application/json', ...headers },
      connectTimeoutMs: connectTimeout * 1000,
      stallTimeoutMs: stallTimeout * 1000,
      signal: AbortSignal.any([signal, late]),
    });
    if (answer.status === 200 || answer.status === 201)
      return { answer, json: parseObject(answer, await readText(answer)) };
    answer.close();
    return { answer };
  } catch (error) {
    signal.throwIfAborted();
    if (!late.aborted) throw error;
    const address = shownAddress(request.url);
    throw new EverbootFailure('SourceUnreachable', `${address}: no whole answer within ${limitMs / 1000} s`);
  }
}

/** The JSON of an answer, of at most 1 MiB. Throws SourceUnreachable when it is none. */
export async function readJson(answer: HttpAnswer): Promise<unknown> {
  const text = await readText(answer);
  try {
    return JSON.parse(text);
  } catch {
    throw new EverbootFailure('SourceUnreachable', `${answer.address} answered with something that is not JSON`);
  }
}

async function readText(answer: HttpAnswer): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of answer.body) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxJsonBytes) {
      throw new EverbootFailure('SourceUnreachable', `${answer.address} answered with more than ${maxJsonBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseObject(answer: HttpAnswer, text: string): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
  } catch {
    // Said below, without the text: a proxy's page is of no use in a history.
  }
  throw new EverbootFailure('SourceUnreachable', `${answer.address} answered with something that is not a JSON object`);
}
