/**
 * Where everything lies on a host. Names are Nova's wherever Nova has one; what only everboot needs is kept in
 * `.everboot`, so that a Nova operator's eye finds the rest where it was.
 */
export interface HostPaths {
  /** `<instances_path>` */
  readonly instances: string;
  /** The base-image cache, `<instances_path>/_base`. */
  readonly cache: string;
  /** The file whose bytes are the host's kernel locks. */
  readonly locks: string;
  /** A folder a cached file, in it a file a claim. */
  readonly claims: string;
  /** What is known of each cached file: format, size, digest, source. */
  readonly bases: string;
  /** Who is to fetch a file that is missing. */
  readonly fetches: string;
  /** Images that were refused, remembered for a while. */
  readonly refusals: string;
  /** Space that running builds were promised. */
  readonly ledger: string;
}

export function hostPaths(instancesPath: string, cacheFolder: string): HostPaths {
  const state = `${instancesPath}/.everboot`;
  return {
    instances: instancesPath,
    cache: `${instancesPath}/${cacheFolder}`,
    locks: `${state}/locks`,
    claims: `${state}/claims`,
    bases: `${state}/bases`,
    fetches: `${state}/fetches`,
    refusals: `${state}/refusals`,
    ledger: `${state}/ledger`,
  };
}

/** An instance's files. `id` is a checked UUID, so the path cannot leave the folder. */
export function instanceDirectory(paths: HostPaths, id: string): string {
  return `${paths.instances}/${id}`;
}
