import { chmod, mkdir } from 'node:fs/promises';
import type { HostPaths } from '../../domain/host-paths.ts';
import { removePartialNotes } from '../files/host-notes.ts';

/** Prepares a host before its first step: makes its folders, and removes the partial notes of a killed worker. */
export async function prepareHost(paths: HostPaths): Promise<void> {
  await prepareFolders(paths);
  // They harm nothing: what cannot be removed now keeps no step of the host waiting, and goes with the next sweep.
  await removePartialNotes(paths).catch(() => undefined);
}

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
