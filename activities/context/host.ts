import type { Configuration } from '../../domain/configuration.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import type { RateLimit } from '../../hypervisor/http/rate-limit.ts';
import type { StoreIngest, StoreMaintenance } from '../../hypervisor/image-store/store-settings.ts';
import type { GlanceTokens } from '../../hypervisor/keystone/glance-tokens.ts';
import type { ImageSourceSettings } from '../../hypervisor/sources/describe-image.ts';

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
  readonly reconcileGraceMs?: number;
  /** Where it stands which start of the machine this is; absent: where Linux says it. */
  readonly bootIdFile?: string;
}

/** The host's settings for image sources. */
export function imageSourcesOf({ configuration, tokens, rateLimit }: Host): ImageSourceSettings {
  const { glance, host } = configuration;
  return { glance, fileImageRoots: host.fileImageRoots, ...(tokens && { tokens }), ...(rateLimit && { rateLimit }) };
}

/** The image store of a host. */
export function imageStoreOf(host: Host): StoreMaintenance & StoreIngest {
  const { host: machine, imageCache, libvirt } = host.configuration;
  return {
    host: machine.name,
    paths: host.paths,
    settings: imageCache,
    connectionUri: libvirt.connectionUri,
    sources: imageSourcesOf(host),
    reservedBytes: machine.reservedDiskMb * 2 ** 20,
  };
}
