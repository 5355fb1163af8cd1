import type { Configuration } from '../domain/configuration.ts';
import type { HostPaths } from '../domain/host-paths.ts';
import type { RateLimit } from '../hypervisor/download/rate-limit.ts';
import type { CacheCare } from '../hypervisor/image-cache/care/cache-care.ts';
import type { GlanceTokens } from '../hypervisor/keystone/glance-tokens.ts';
import type { ImageSourceSettings } from '../hypervisor/sources/describe-image.ts';

/** The machine that a worker's steps act on, with its settings read once. */
export interface Host {
  readonly configuration: Configuration;
  readonly paths: HostPaths;
  /** Where keys and what was found out about the machine are kept. */
  readonly stateDirectory: string;
  /** One for the whole process, so that all its steps use the same token; absent: there are no credentials. */
  readonly tokens?: GlanceTokens;
  /** One for the whole process, too; absent: there is none. */
  readonly rateLimit?: RateLimit;
  /** For how long after a run's end its last attempts may be at work, in milliseconds; absent: `graceMs`. */
  readonly tendGraceMs?: number;
  /** Where it stands which start of the machine this is; absent: where Linux says it. */
  readonly bootIdFile?: string;
}

/** What the sources of images need to know of a host. */
export function imageSourcesOf({ configuration, tokens, rateLimit }: Host): ImageSourceSettings {
  const { glance, host } = configuration;
  return { glance, fileImageRoots: host.fileImageRoots, ...(tokens && { tokens }), ...(rateLimit && { rateLimit }) };
}

/** What the care of the image cache needs to know of a host. */
export function cacheCareOf({ configuration, paths }: Host): CacheCare {
  const { host, imageCache, libvirt } = configuration;
  return { host: host.name, paths, settings: imageCache, connectionUri: libvirt.connectionUri };
}
