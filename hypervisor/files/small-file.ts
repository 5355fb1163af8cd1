import { access, open, readdir, rm } from 'node:fs/promises';

/** No file of our own state is larger than this. */
const maxStateFileBytes = 1024 * 1024;

function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

/** Reads a small JSON file of our own; undefined when it is absent, or when a crash left it unreadable. */
export async function readStateFile(path: string): Promise<unknown> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size > maxStateFileBytes) return undefined;
      return JSON.parse(await file.readFile('utf8'));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isAbsent(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The names in a folder; none when it is absent. */
export async function listFolder(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

/** Removes a file; absence is success. */
export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true });
}

/** Whether something has that name. */
export async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
