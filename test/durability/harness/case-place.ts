import { randomUUID } from 'node:crypto';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type HostPaths, hostPaths } from '../../../domain/host-paths.ts';
import type { Fault } from './faults.ts';
import { type Journal, openJournal } from './journal.ts';
import { mountSmall, unmount } from './small-file-systems.ts';
import type { Stage } from './stage.ts';

/** Where the host of one case has everything. */
export interface Place {
  readonly name: string;
  readonly folder: string;
  readonly filesFolder: string;
  readonly paths: HostPaths;
  readonly journal: Journal;
  remove(): Promise<void>;
}

const smallMebibytes = 512;

/**
 * Makes a folder for a host of its own; its instances are on a small or a failing file system where that is asked for.
 */
export async function makePlace(stage: Stage, medium: Fault['medium']): Promise<Place> {
  const name = randomUUID().slice(0, 8);
  const folder = join(stage.folder, name);
  await mkdir(folder);
  const filesFolder = medium === 'failing' ? join((await stage.failing()).folder, name) : folder;
  const instances = join(filesFolder, 'instances');
  await mkdir(instances, { recursive: true });
  await chmod(folder, 0o711);
  if (medium === 'small') await mountSmall(instances, smallMebibytes);
  return {
    ...{ name, folder, filesFolder, paths: hostPaths(instances, '_base'), journal: openJournal(folder) },
    async remove() {
      if (medium === 'small') await unmount(instances);
      for (const doomed of [folder, filesFolder]) {
        await rm(doomed, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
      }
    },
  };
}
