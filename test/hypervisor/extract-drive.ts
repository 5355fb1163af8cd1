import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../hypervisor/process/run-program.ts';

/**
 * Copies everything on a config drive into a new folder, without mounting it: not every kernel has these file systems.
 */
export async function extractDrive(image: string, format: 'iso9660' | 'vfat', folder: string): Promise<void> {
  await mkdir(folder);
  const [program, args] =
    format === 'iso9660'
      ? ['xorriso', ['-osirrox', 'on', '-indev', image, '-extract', '/', folder]]
      : ['mcopy', ['-s', '-i', image, '::/*', folder]];
  await runProgram(program as string, args as string[], { timeoutMs: 120_000 });
}

/** Every file in a folder, by its path there. */
export async function filesOf(folder: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    found.set(path.slice(folder.length + 1), await readFile(path));
  }
  return found;
}
