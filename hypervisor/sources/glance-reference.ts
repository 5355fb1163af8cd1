import { EverbootFailure } from '../../domain/failures.ts';
import type { GlanceAccess } from './glance-request.ts';

/** The ids that Nova's is_uuid_like accepts, with or without hyphens. No character of it can leave a path. */
const imageId = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})$/i;

export interface GlanceImageAddress {
  readonly id: string;
  /** Base URLs without `/v2`, in the order in which they are asked; or the place of the tokens' catalog. */
  readonly servers: readonly string[];
}

/**
 * Where to ask for an image: a plain id on the configured servers in random order, as Nova's get_api_servers gives
 * them, or on that of the credentials' catalog where none is configured; a whole URL,
 * `scheme://host:port[/prefix][/v2]/images/<id>`, on the server that it names and no other.
 *
 * Throws ImageRefInvalid, and HostUnsuitable where the host has no Glance.
 */
export function glanceImageAddress(reference: string, { glance, tokens }: GlanceAccess): GlanceImageAddress {
  const { apiServers } = glance;
  if (reference.includes('/')) return addressOfUrl(reference);
  if (!imageId.test(reference)) {
    throw new EverbootFailure('ImageRefInvalid', `"${reference.slice(0, 100)}" is not the id of a Glance image`);
  }
  if (apiServers.length === 0 && tokens !== undefined) return { id: reference, servers: [tokens.catalogPlace] };
  if (apiServers.length === 0) {
    throw new EverbootFailure('HostUnsuitable', `the image ${reference} is in Glance, and this host knows no Glance`, {
      remedy: 'Set [glance] api_servers or cloud on the host, or give the image’s whole URL.',
    });
  }
  return { id: reference, servers: shuffled(apiServers.map((server) => server.replace(/\/+$/, ''))) };
}

function addressOfUrl(reference: string): GlanceImageAddress {
  const url = URL.canParse(reference) ? new URL(reference) : undefined;
  const [, prefix, id] = url?.pathname.match(/^(.*?)(?:\/v2(?:\.\d+)?)?\/images\/([^/]+)$/) ?? [];
  const isPlain = url?.search === '' && url.hash === '' && url.username === '' && url.password === '';
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (url === undefined || prefix === undefined || id === undefined || !isPlain || !isHttp || !imageId.test(id)) {
    // Not the text itself: it may hold a password.
    const place = url === undefined || url.host === '' ? 'it' : `the address on ${url.host}`;
    throw new EverbootFailure('ImageRefInvalid', `${place} is not the URL of a Glance image`);
  }
  return { id, servers: [`${url.origin}${prefix}`] };
}

function shuffled(servers: readonly string[]): string[] {
  return servers
    .map((server) => ({ server, at: Math.random() }))
    .sort((one, other) => one.at - other.at)
    .map(({ server }) => server);
}
