import { mkdir, open, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { temporaryName, temporarySuffix } from '../publish-file.ts';
import { listFolder } from '../small-file.ts';
import type { MetadataFile } from './contents.ts';

export interface StagingFolder {
  /** The files of the config drive, as they are to be on it. */
  readonly tree: string;
  /** Where the image is to be made, out of everybody's sight until it has its final permissions. */
  readonly image: string;
}

/**
 * Lays the files out in a folder that only the worker's user can enter, beside the image that is made of them: on the
 * same file system, so that secrets get to no other, and removed with the instance's directory if all else fails.
 * It is removed whatever becomes of `work`.
 */
export async function withStagingFolder<Made>(
  destination: string,
  files: readonly MetadataFile[],
  work: (staging: StagingFolder) => Promise<Made>,
): Promise<Made> {
  const folder = temporaryName(destination);
  const staging = { tree: join(folder, 'tree'), image: join(folder, 'image') };
  await mkdir(folder, { mode: 0o700 });
  try {
    for (const { path, bytes } of files) await stageFile(join(staging.tree, path), bytes);
    return await work(staging);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Removes what a killed worker left of this destination's staging folders: secrets are in them. */
export async function removeStagingLeftovers(destination: string): Promise<void> {
  const folder = dirname(destination);
  const prefix = `${basename(destination)}.`;
  for (const name of await listFolder(folder)) {
    if (!name.startsWith(prefix) || !name.endsWith(temporarySuffix)) continue;
    // Another file's name may go on after this one's: `disk.config.rescue`.
    const tag = name.slice(prefix.length, -temporarySuffix.length);
    if (!tag.includes('.')) await rm(join(folder, name), { recursive: true, force: true });
  }
}

async function stageFile(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
  } finally {
    await file.close();
  }
}
