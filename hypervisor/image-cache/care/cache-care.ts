import type { ImageCacheSettings } from '../../../domain/configuration.ts';
import type { HostPaths } from '../../../domain/host-paths.ts';

/** The cache that is taken care of: whose it is, where it lies, and what an operator wants of it. */
export interface CacheCare {
  /** The host's name. */
  readonly host: string;
  readonly paths: HostPaths;
  readonly settings: ImageCacheSettings;
  /** Where libvirt is asked what domains use. */
  readonly connectionUri: string;
}
