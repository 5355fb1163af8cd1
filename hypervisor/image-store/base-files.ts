import type { HostPaths } from '../../domain/host-paths.ts';

/** The files of one base in the cache's folder, with Nova's names: the final one, and what becomes it. */
export function baseFiles(paths: HostPaths, cacheName: string) {
  const final = `${paths.cache}/${cacheName}`;
  return { final, part: `${final}.part`, sidecar: `${final}.part.json`, converted: `${final}.converted` };
}
