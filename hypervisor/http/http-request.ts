import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { EverbootFailure } from '../../domain/failures.ts';

const maxRedirects = 5;
const redirectStatuses = new Set([301, 302, 303, 307, 308]);

/** Headers that prove who we are; they go to no server but the one they were meant for. */
const credentialHeaders = ['x-auth-token', 'authorization', 'cookie'];

export interface HttpRequest {
  readonly url: URL;
  /** A POST is for a body that nobody else may read: it is never sent on to where a redirect leads. */
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The certificates, in PEM, that alone vouch for a server; absent: those that Node knows. */
  readonly ca?: string | null;
  readonly connectTimeoutMs: number;
  /** How long the server may say nothing, before its answer and within it. */
  readonly stallTimeoutMs: number;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  /** The address that answered in the end, without credentials and query. */
  readonly address: string;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The body, once. A server that stalls or breaks off makes it throw SourceUnreachable. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Closes the connection; what was not read is not received. */
  close(): void;
}

/** An address fit for a message: neither the password nor the query, which signs the address at some servers. */
export function shownAddress(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/**
 * Sends one request and follows redirects, but for a POST: at most five, never from https to http, and never to
 * anything but these two.
 *
 * Throws SourceUnreachable when there is no connection or no answer in time, SourceUnavailable for a redirect that is
 * not followed and for an encoded body, and the signal's reason when it was aborted.
 */
export async function sendRequest(request: HttpRequest): Promise<HttpAnswer> {
  let { url, headers = {} } = request;
  for (let redirects = 0; ; redirects += 1) {
    const response = await receiveHeaders({ ...request, url, headers });
    const status = response.statusCode ?? 0;
    const { location } = response.headers;
    const isRedirect = redirectStatuses.has(status) && location !== undefined && request.method !== 'POST';
    if (!isRedirect) return answerOf(response, url, request);
    response.destroy();
    const next = redirectTarget(url, location);
    if (redirects === maxRedirects) {
      throw new EverbootFailure('SourceUnavailable', `${shownAddress(request.url)} redirects more than 5 times`);
    }
    if (next.origin !== url.origin) headers = withoutCredentials(headers);
    url = next;
  }
}

function redirectTarget(from: URL, location: string): URL {
  const next = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  const allowed = next?.protocol === 'https:' || (next?.protocol === 'http:' && from.protocol === 'http:');
  if (next !== undefined && allowed) return next;
  const target = next === undefined ? 'an address that cannot be read' : `${next.protocol}//${next.host}`;
  throw new EverbootFailure('SourceUnavailable', `${shownAddress(from)} redirects to ${target}, which is not followed`);
}

function withoutCredentials(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !credentialHeaders.includes(name.toLowerCase())),
  );
}

/** One connection a request: a server that was restarted behind a kept connection would look like a failure. */
function agentFor({ protocol, hostname }: URL): http.Agent {
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
  const options = { keepAlive: false, ...(isLoopback ? {} : { proxyEnv: process.env }) };
  return protocol === 'https:' ? new https.Agent(options) : new http.Agent(options);
}

function receiveHeaders(request: HttpRequest & { headers: Readonly<Record<string, string>> }) {
  const { url, method, body, ca, connectTimeoutMs, stallTimeoutMs, signal } = request;
  signal.throwIfAborted();
  return new Promise<IncomingMessage>((resolve, reject) => {
    const isSecure = url.protocol === 'https:';
    const headers = { 'accept-encoding': 'identity', 'user-agent': 'everboot', ...request.headers };
    const trust = isSecure && typeof ca === 'string' ? { ca } : {};
    const sent = (isSecure ? https : http).request(url, { method, headers, agent: agentFor(url), signal, ...trust });
    let timer = setTimeout(
      () => sent.destroy(new Error(`no connection within ${connectTimeoutMs / 1000} s`)),
      connectTimeoutMs,
    );
    const connected = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => sent.destroy(new Error(`no answer within ${stallTimeoutMs / 1000} s`)), stallTimeoutMs);
    };
    sent.once('socket', (socket) => {
      if (socket.connecting) socket.once(isSecure ? 'secureConnect' : 'connect', connected);
      else connected();
    });
    sent.once('response', (response) => {
      clearTimeout(timer);
      resolve(response);
    });
    // Not once: a connection may break after its answer, too, and an error that nobody hears ends the process.
    sent.on('error', (error) => {
      clearTimeout(timer);
      reject(signal.aborted ? signal.reason : unreachable(url, error));
    });
    sent.end(body);
  });
}

function answerOf(response: IncomingMessage, url: URL, request: HttpRequest): HttpAnswer {
  const encoding = response.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    response.destroy();
    throw new EverbootFailure(
      'SourceUnavailable',
      `${shownAddress(url)} encodes its answer (${encoding.slice(0, 50)}), though it was asked for the bytes as they are`,
    );
  }
  // Whoever does not read the body must not be surprised by its end.
  response.on('error', () => undefined);
  return {
    address: shownAddress(url),
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: bodyOf(response, url, request),
    close: () => void response.destroy(),
  };
}

/** The clock runs only while we wait for the server, not while the reader is busy with what it got. */
async function* bodyOf(response: IncomingMessage, url: URL, { stallTimeoutMs, signal }: HttpRequest) {
  const chunks = response[Symbol.asyncIterator]();
  const stalled = (): void => {
    response.destroy(new Error(`no data for ${stallTimeoutMs / 1000} s`));
  };
  try {
    for (;;) {
      const timer = setTimeout(stalled, stallTimeoutMs);
      const next = await chunks.next().finally(() => clearTimeout(timer));
      if (next.done === true) return;
      yield next.value as Uint8Array;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw unreachable(url, error);
  } finally {
    response.destroy();
  }
}

/** A host with several addresses fails with an error for each of them, and no message of its own. */
function unreachable(url: URL, error: unknown): EverbootFailure {
  const errors = error instanceof AggregateError ? error.errors : [error];
  const words = errors.map((each) => (each instanceof Error ? each.message : String(each)));
  const said = words.join(', ').replace('aborted', 'the connection broke off');
  return new EverbootFailure('SourceUnreachable', `${shownAddress(url)}: ${said.slice(0, 300)}`, { cause: error });
}
