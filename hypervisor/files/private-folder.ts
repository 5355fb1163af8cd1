import { mkdir, open, rm } from 'node:fs/promises';
import { temporaryName } from './publish-file.ts';

/**
 * Gives `work` a new folder that only the worker's user can enter, beside `finalPath`: on the same file system, so that
 * secrets get to no other. It is removed whatever becomes of `work`; a killed worker's goes with the temporary files of
 * `finalPath`, see `removeTemporaryFiles`, or with the instance's directory.
 */
export async function withPrivateFolder<Made>(
  finalPath: string,
  work: (folder: string) => Promise<Made>,
): Promise<Made> {
  const folder = temporaryName(finalPath);
  await mkdir(folder, { mode: 0o700 });
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes a new file that only the worker's user can read. */
export async function writePrivateFile(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
  } finally {
    await file.close();
  }
}
