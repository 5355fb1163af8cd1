import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { withPrivateFolder, writePrivateFile } from '../files/private-folder.ts';
import type { MetadataFile } from './contents.ts';

export interface StagingFolder {
  /** The files of the config drive, as they are to be on it. */
  readonly tree: string;
  /** Where the image is to be made, out of everybody's sight until it has its final permissions. */
  readonly image: string;
}

/** Lays the files out in a private folder beside the image that is made of them. */
export async function withStagingFolder<Made>(
  destination: string,
  files: readonly MetadataFile[],
  work: (staging: StagingFolder) => Promise<Made>,
): Promise<Made> {
  return await withPrivateFolder(destination, async (folder) => {
    const staging = { tree: join(folder, 'tree'), image: join(folder, 'image') };
    for (const { path, bytes } of files) {
      const staged = join(staging.tree, path);
      await mkdir(dirname(staged), { recursive: true, mode: 0o700 });
      await writePrivateFile(staged, bytes);
    }
    return await work(staging);
  });
}
