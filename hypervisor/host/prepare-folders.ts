import { chmod, mkdir } from 'node:fs/promises';
import type { HostPaths } from '../../domain/host-paths.ts';

/**
 * Makes a host's folders where they are missing. The hypervisor's user must reach the disks and their backing files,
 * so `instances` and the cache may be passed through, but not listed; our own state is nobody else's.
 */
export async function prepareFolders(paths: HostPaths): Promise<void> {
  for (const folder of [paths.instances, paths.cache]) {
    // With the mode at once, since a folder that is there is not touched again; after it, for a worker's own umask.
    if ((await mkdir(folder, { recursive: true, mode: 0o711 })) !== undefined) await chmod(folder, 0o711);
  }
  const { claims, bases, fetches, refusals, ledger, scrubs, pins } = paths;
  for (const folder of [claims, bases, fetches, refusals, ledger, scrubs, pins]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  }
}
