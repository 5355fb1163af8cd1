import { randomBytes } from 'node:crypto';
import { lstat, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { removeTree, type TreeRemoval } from './remove-tree.ts';
import { listFolder, removeFile } from './small-file.ts';

/** The suffix of everboot's partial files, by which those that a crash left behind are found and removed. */
export const temporarySuffix = '.everboot-tmp';

/** The name a file has until it is whole: beside its final name, so that the rename stays in one file system. */
export function temporaryName(finalPath: string): string {
  return `${finalPath}.${randomBytes(4).toString('hex')}${temporarySuffix}`;
}

const temporaryEnding = new RegExp(`\\.[0-9a-f]{8}\\${temporarySuffix}$`);

/** The final name that a temporary name is of; null: the name is no temporary one. */
export function finalNameOf(name: string): string | null {
  return temporaryEnding.test(name) ? name.replace(temporaryEnding, '') : null;
}

/**
 * Removes what killed attempts left of a file under its temporary names. Call it under the lock that keeps every other
 * writer of that file out.
 */
export async function removeTemporaryFiles(finalPath: string, control: TreeRemoval = {}): Promise<void> {
  const finalName = basename(finalPath);
  await removeThose(dirname(finalPath), (name) => finalNameOf(name) === finalName, control);
}

/** The same for every file in a folder: call it where nobody writes any of them. */
export async function removeTemporaryFilesIn(folder: string, control: TreeRemoval = {}): Promise<void> {
  await removeThose(folder, (name) => finalNameOf(name) !== null, control);
}

async function removeThose(folder: string, isMeant: (name: string) => boolean, control: TreeRemoval): Promise<void> {
  for (const name of await listFolder(folder)) {
    if (!isMeant(name)) continue;
    const path = join(folder, name);
    // Its own writer may have taken it away since.
    const found = await lstat(path).catch(() => undefined);
    if (found?.isDirectory() === true) await removeTree(path, control);
    else await removeFile(path);
  }
}

/**
 * Makes a file under a temporary name and gives it its final one only when it is whole and on disk: write, sync,
 * rename, sync of the folder. A crash at any moment leaves the final name absent, or the file complete.
 */
export async function publishFile(finalPath: string, write: (temporaryPath: string) => Promise<void>): Promise<void> {
  const temporaryPath = temporaryName(finalPath);
  try {
    await write(temporaryPath);
    await syncPath(temporaryPath);
    await rename(temporaryPath, finalPath);
  } catch (error) {
    await rm(temporaryPath, { force: true });
    throw error;
  }
  await syncPath(dirname(finalPath));
}

/** Makes what was written to a file, or the names in a folder, survive a crash of the machine. */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Writes a small file whole, see `publishFile`. */
export async function publishText(finalPath: string, text: string, mode: number): Promise<void> {
  await publishFile(finalPath, async (temporaryPath) => {
    const file = await open(temporaryPath, 'wx', mode);
    try {
      await file.writeFile(text);
    } finally {
      await file.close();
    }
  });
}
