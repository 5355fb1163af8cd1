import type { HostPaths } from '../../domain/host-paths.ts';
import { removePartialNotes } from '../files/host-notes.ts';
import { prepareFolders } from './prepare-folders.ts';

/** Prepares a host before its first step: makes its folders, and removes the partial notes of a killed worker. */
export async function prepareHost(paths: HostPaths): Promise<void> {
  await prepareFolders(paths);
  // They harm nothing: what cannot be removed now keeps no step of the host waiting, and goes with the next sweep.
  await removePartialNotes(paths).catch(() => undefined);
}
