import { readFile } from 'node:fs/promises';

const bootIdFile = '/proc/sys/kernel/random/boot_id';

/** The kernel's id of this boot of the machine: what was not synced before another boot may be lost. */
export async function readBootId(path = bootIdFile): Promise<string> {
  return (await readFile(path, 'utf8')).trim();
}
