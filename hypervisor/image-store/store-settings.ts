import type { ImageCacheSettings } from '../../domain/configuration.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import type { ImageSourceSettings } from '../sources/describe-image.ts';

/** The store as its maintenance needs it: its host, its folders and its configuration. */
export interface StoreMaintenance {
  /** The host's name. */
  readonly host: string;
  readonly paths: HostPaths;
  readonly settings: ImageCacheSettings;
  /** Where libvirt is asked what domains use. */
  readonly connectionUri: string;
}

/** The store as the ingestion of an image needs it. */
export interface StoreIngest {
  readonly paths: HostPaths;
  /** Where images come from, and the limits that hold for all of them. */
  readonly sources: ImageSourceSettings;
  /** Space that stays free on the host, whatever is brought in. */
  readonly reservedBytes: number;
}
