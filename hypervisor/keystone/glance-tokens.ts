import type { GlanceSettings } from '../../domain/configuration.ts';
import type { GlanceCredentials } from '../../domain/glance-credentials.ts';
import { authenticate, type Token } from './authenticate.ts';
import { imageServer, serverAddress } from './catalog.ts';
import { singleFlight } from './single-flight.ts';

/** How to ask one Glance server. */
export interface GlanceServer {
  /** Its base URL without `/v2`. */
  readonly url: string;
  /** Null: it is none of ours, and gets no token. */
  readonly token: string | null;
  readonly ca: string | null;
}

/** The tokens of one process. They live in memory only, and go to no server but the host's own. */
export interface GlanceTokens {
  /** The catalog's image endpoint, in words for messages; it is used where the host names no servers. */
  readonly catalogPlace: string;
  /**
   * How to ask a server, given by its base URL or as `catalogPlace`. Authenticates where no token is at hand; once for
   * all who ask at the same time. Throws what `authenticate` throws, and HostUnsuitable without an image endpoint.
   */
  serverAt(place: string, signal: AbortSignal): Promise<GlanceServer>;
  /** Says that a server answered 401 to this token, so that it is not used again. */
  refuse(token: string): void;
}

/** Makes the tokens of a host. Asks nobody yet. */
export function glanceTokens(credentials: GlanceCredentials, glance: GlanceSettings): GlanceTokens {
  const { cloud, caCertificates: ca } = credentials;
  const configured = new Set(glance.apiServers.map(serverAddress));
  const catalogPlace = `the image endpoint of the cloud "${cloud}"`;
  let current: Token | undefined;
  const renewed = singleFlight(async (signal) => {
    current = await authenticate(credentials, glance, signal);
    return current;
  });
  const token = async (signal: AbortSignal): Promise<Token> =>
    current !== undefined && Date.now() < current.renewAtMs ? current : await renewed(signal);

  return {
    catalogPlace,
    async serverAt(place, signal) {
      const address = serverAddress(place);
      if (configured.size > 0) {
        if (address === null || !configured.has(address)) return { url: place, token: null, ca: null };
        return { url: place, token: (await token(signal)).text, ca };
      }
      // Only the catalog says whether an address is ours, so that another Glance costs an authentication as well.
      const { text, catalog } = await token(signal);
      const url = imageServer(catalog, credentials);
      return place === catalogPlace || address === url
        ? { url, token: text, ca }
        : { url: place, token: null, ca: null };
    },
    refuse(refused) {
      if (current?.text === refused) current = undefined;
    },
  };
}
