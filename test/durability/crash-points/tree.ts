import { createHash } from 'node:crypto';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { contentOf } from './contents.ts';

/** Everything below a folder, by its path there: kind, mode, owner and what it holds. */
export type Tree = ReadonlyMap<string, string>;

export async function treeOf(folder: string): Promise<Tree> {
  const tree = new Map<string, string>();
  const names = await readdir(folder, { recursive: true });
  for (const name of names.sort()) {
    const path = join(folder, name);
    const { mode, uid, gid } = await lstat(path);
    const isFile = (mode & 0o170000) === 0o100000;
    // A partial file may hold anything.
    const content = isFile && !isTemporary(name) ? ` ${await contentOf(path, folder)}` : '';
    tree.set(name, `${mode.toString(8)} ${uid}:${gid}${content}`);
  }
  return tree;
}

/** Everything below a folder as it is to the byte, with modes, owners and the times of the last changes. */
export async function entriesOf(folder: string): Promise<Tree> {
  const entries = new Map<string, string>();
  for (const name of (await readdir(folder, { recursive: true })).sort()) {
    const path = join(folder, name);
    const stats = await lstat(path, { bigint: true });
    const content = stats.isFile()
      ? createHash('sha256')
          .update(await readFile(path))
          .digest('hex')
      : '';
    entries.set(name, `${stats.mode} ${stats.uid}:${stats.gid} ${stats.mtimeNs} ${content}`);
  }
  return entries;
}

/** Whether a path is that of something partial, or is in it. */
export function isTemporary(name: string): boolean {
  return /\.everboot-tmp(\/|$)|\.part(\.json)?$|\.converted$/.test(name);
}

/** Whether a file is in our state only while a step runs: promised space, and who is to fetch. */
export function isPassing(name: string): boolean {
  return /\/\.everboot\/(ledger|fetches)\/[^/]+\.json$/.test(name);
}
