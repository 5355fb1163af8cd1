import type { HostPaths } from '../domain/host-paths.ts';
import { removeHalfMadeNotes } from './host-notes.ts';
import { prepareFolders } from './prepare-folders.ts';

/** What a worker does before it takes its first step: its folders are there, and no half-made note of a killed one. */
export async function prepareHost(paths: HostPaths): Promise<void> {
  await prepareFolders(paths);
  // They harm nothing: what cannot be removed now keeps no step of the host waiting, and goes with the next sweep.
  await removeHalfMadeNotes(paths).catch(() => undefined);
}
