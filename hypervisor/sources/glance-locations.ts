import { EverbootFailure } from '../../domain/failures.ts';
import type { ImageDescription } from '../../domain/image.ts';
import { readJson } from '../http/request-json.ts';
import type { ImageSourceSettings } from './describe-image.ts';
import { glanceImageAddress } from './glance-reference.ts';
import { requestGlance, requestGlanceJson } from './glance-request.ts';

/** More places than any image has; what is beyond them is not looked at. */
const maxLocations = 16;
const maxPathLength = 4096;
/** Asking must not take longer than the image is worth. */
const maxMs = 15_000;

export interface DirectPlaces {
  readonly paths: readonly string[];
  /** Why there are none; absent where nobody asked for any. Names no path. */
  readonly reason?: string;
}

/**
 * Where on this host Glance says that an image's bytes lie; nothing where the host does not allow the scheme `file`.
 * Other locations are passed over: the image is fetched through the API then.
 */
export async function directPlaces(
  image: Pick<ImageDescription, 'reference'>,
  settings: ImageSourceSettings,
  signal: AbortSignal,
): Promise<DirectPlaces> {
  if (!settings.glance.allowedDirectUrlSchemes.includes('file') || !('glance' in image.reference)) return { paths: [] };
  const { urls, reason } = await imageLocations(image, settings, signal);
  const paths = urls.flatMap(pathOf);
  if (paths.length > 0) return { paths };
  return { paths, reason: urls.length > 0 ? 'none of the locations that Glance shows is a file on this host' : reason };
}

interface ImageLocations {
  /** As Glance has them; nobody has checked that they are texts. */
  readonly urls: readonly unknown[];
  /** Why there are none. Names no place. */
  readonly reason: string;
}

/**
 * Where Glance says that it keeps an image; nothing for an image on another Glance than the host's own, which could
 * name anything in the host's reach. Where Glance does not show them, or cannot be asked, there are no locations.
 */
export async function imageLocations(
  { reference }: Pick<ImageDescription, 'reference'>,
  settings: ImageSourceSettings,
  signal: AbortSignal,
): Promise<ImageLocations> {
  if (!('glance' in reference)) return { urls: [], reason: 'it is in no Glance' };
  const { id, servers } = glanceImageAddress(reference.glance, settings);
  const isOurs = !reference.glance.includes('/') || settings.glance.apiServers.includes(servers[0] ?? '');
  if (!isOurs) return { urls: [], reason: 'its Glance is not one of [glance] api_servers' };
  const late = AbortSignal.timeout(maxMs);
  let reason = 'Glance shows no location of it';
  for (const server of servers) {
    try {
      return { urls: await locationsAt(server, id, settings, AbortSignal.any([signal, late])), reason };
    } catch (error) {
      signal.throwIfAborted();
      if (late.aborted) return { urls: [], reason: `Glance did not show its locations within ${maxMs / 1000} s` };
      if (!(error instanceof EverbootFailure)) throw error;
      reason = `Glance did not show its locations: ${error.message}`;
    }
  }
  return { urls: [], reason };
}

/**
 * Old releases of Glance show them in the image's record, where that is switched on; new ones at an address of their
 * own.
 */
async function locationsAt(
  server: string,
  id: string,
  settings: ImageSourceSettings,
  signal: AbortSignal,
): Promise<unknown[]> {
  const { json } = await requestGlanceJson(server, `/v2/images/${id}`, settings, signal);
  const told = [json?.direct_url, ...urlsOf(json?.locations)].filter((url) => url !== undefined);
  if (told.length > 0) return told;
  const answer = await requestGlance(server, `/v2/images/${id}/locations`, {}, settings, signal);
  if (answer.status === 200) return urlsOf(await readJson(answer));
  answer.close();
  return [];
}

function urlsOf(locations: unknown): unknown[] {
  if (!Array.isArray(locations)) return [];
  return locations.slice(0, maxLocations).map((location) => (location as { url?: unknown } | null)?.url);
}

function pathOf(location: unknown): string[] {
  if (typeof location !== 'string' || location.length > maxPathLength || !URL.canParse(location)) return [];
  const { protocol, host, pathname } = new URL(location);
  if (protocol !== 'file:' || host !== '') return [];
  try {
    return [decodeURIComponent(pathname)];
  } catch {
    return [];
  }
}
