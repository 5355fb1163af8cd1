import type { GlanceSettings } from '../../domain/configuration.ts';
import { type HttpAnswer, sendRequest } from '../http/http-request.ts';
import { type JsonAnswer, requestJson } from '../http/request-json.ts';
import type { GlanceServer, GlanceTokens } from '../keystone/glance-tokens.ts';

/** The host's access to Glance. */
export interface GlanceAccess {
  readonly glance: GlanceSettings;
  /** Absent: the host has no credentials, and no token is sent. */
  readonly tokens?: GlanceTokens;
}

/**
 * Gets a JSON object from a Glance server: `place` is one of `glanceImageAddress`, `path` begins with `/v2/`. A token
 * goes along if the server is one of the host's own; one that is refused is renewed once.
 *
 * Throws SourceUnreachable when this attempt failed, SourceUnavailable, and what Keystone's refusals are. Every status
 * is an answer, and has no `json` unless it is 200.
 */
export async function requestGlanceJson(
  place: string,
  path: string,
  access: GlanceAccess,
  signal: AbortSignal,
): Promise<JsonAnswer> {
  return await renewing(
    place,
    access,
    signal,
    async (server) => await requestJson(addressed(server, path), access.glance, signal),
    ({ answer }) => answer,
  );
}

/** Gets anything else of a Glance server, as `requestGlanceJson` does. The caller reads or closes the answer. */
export async function requestGlance(
  place: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  access: GlanceAccess,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const { connectTimeout, stallTimeout } = access.glance;
  const times = { connectTimeoutMs: connectTimeout * 1000, stallTimeoutMs: stallTimeout * 1000 };
  return await renewing(
    place,
    access,
    signal,
    async (server) => await sendRequest({ ...addressed(server, path, headers), method: 'GET', ...times, signal }),
    (answer) => answer,
  );
}

function addressed({ url, token, ca }: GlanceServer, path: string, headers: Readonly<Record<string, string>> = {}) {
  return {
    url: new URL(`${url}${path}`),
    headers: { ...headers, ...(token === null ? {} : { 'x-auth-token': token }) },
    ca,
  };
}

/**
 * A token may be revoked or have ended at any time. A fresh one that is refused, too, will not be bettered by a third.
 */
async function renewing<Got>(
  place: string,
  { tokens }: GlanceAccess,
  signal: AbortSignal,
  send: (server: GlanceServer) => Promise<Got>,
  answerOf: (got: Got) => HttpAnswer,
): Promise<Got> {
  if (tokens === undefined) return await send({ url: place, token: null, ca: null });
  const server = await tokens.serverAt(place, signal);
  const got = await send(server);
  if (answerOf(got).status !== 401 || server.token === null) return got;
  answerOf(got).close();
  tokens.refuse(server.token);
  return await send(await tokens.serverAt(place, signal));
}
