import { EverbootFailure } from './failures.ts';

/**
 * The place of everything on a host. Names are Nova's wherever Nova has one; what only everboot needs is kept in
 * `.everboot`, so that an operator of Nova finds the rest where it was.
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
  /** The facts of each cached file: format, size, digest, source. */
  readonly bases: string;
  /** Who is to fetch a file that is missing. */
  readonly fetches: string;
  /** Images that were refused, remembered for a while. */
  readonly refusals: string;
  /** Space that running builds were promised. */
  readonly ledger: string;
  /** The hashes of cached files, and when they were last compared. */
  readonly scrubs: string;
  /** An empty file for each cached file that no sweep may remove. */
  readonly pins: string;
  /** The note of the guests that were off at the last reconciliation. */
  readonly guests: string;
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
    scrubs: `${state}/scrubs`,
    pins: `${state}/pins`,
    guests: `${state}/guests.json`,
  };
}

const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a text is an id as everboot makes and accepts them: a UUID in lower case, and nothing else. */
export function isInstanceId(text: string): boolean {
  return uuidPattern.test(text);
}

/** An instance's directory. Whatever asks for it, no path is ever built from anything but a UUID. */
export function instanceDirectory(paths: HostPaths, id: string): string {
  if (!isInstanceId(id))
    throw new EverbootFailure('SpecInvalid', `the instance id must be a UUID in lower case, not ${JSON.stringify(id)}`);
  return `${paths.instances}/${id}`;
}

/** The folder in an instance's directory that is the root of its container, as in Nova. */
export const containerRootName = 'rootfs';
