import { EverbootFailure } from '../../domain/failures.ts';
import type { GlanceCredentials } from '../../domain/glance-credentials.ts';

/**
 * The Glance server of a token's service catalog: the first endpoint of the type `image`, of the wanted interface and
 * region. Throws HostUnsuitable where there is none.
 */
export function imageServer(catalog: unknown, credentials: GlanceCredentials): string {
  const { cloud, regionName, interface: wanted, imageEndpointOverride } = credentials;
  const endpoints = list(catalog)
    .filter(({ type }) => type === 'image')
    .flatMap((service) => list(service.endpoints))
    .filter((endpoint) => endpoint.interface === wanted)
    .filter(({ region_id, region }) => regionName === null || regionName === region_id || regionName === region);
  const address = imageEndpointOverride ?? endpoints.map(({ url }) => url).find((url) => typeof url === 'string');
  const server = address === undefined ? null : serverAddress(address);
  if (server !== null) return server;
  const where = regionName === null ? '' : ` in the region "${regionName}"`;
  const what =
    address === undefined
      ? `the catalog of the cloud "${cloud}" has no ${wanted} image endpoint${where}`
      : `the ${wanted} image endpoint of the cloud "${cloud}"${where} is not an http or https address`;
  throw new EverbootFailure('HostUnsuitable', what, {
    remedy:
      'Set [glance] api_servers, or check region_name and interface of the cloud, and that its credentials name a project.',
  });
}

type JsonObject = Readonly<Record<string, unknown>>;

function list(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'object' && item !== null) : [];
}

/**
 * A Glance server's address in the one form in which two of them can be compared: without `/v2`, a slash at its end, a
 * query or a password. Null for what is no http or https address.
 */
export function serverAddress(text: string): string | null {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') return null;
  const path = url.pathname.replace(/\/+$/, '').replace(/\/v2(\.\d+)?$/, '');
  return `${url.origin}${path.replace(/\/+$/, '')}`;
}
