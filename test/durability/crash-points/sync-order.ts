import { dirname } from 'node:path';
import type { Call } from './at-call.ts';
import { isPassing, isTemporary } from './tree.ts';

const writes = /^(p?write|sendfile|copy_file_range|ftruncate|truncate|fallocate|ioctl)/;
const syncs = new Set(['fsync', 'fdatasync']);

/**
 * The results of a step that would not survive a crash of the machine, in words: a file that got its final name when
 * something of it was not synced yet, and a folder that was not synced after a name in it came or went. A kill shows
 * neither.
 */
export function unsyncedNames(calls: readonly Call[]): string[] {
  const problems: string[] = [];
  calls.forEach(({ name, inode, path, second }, index) => {
    if (!name.startsWith('rename') || isPassing(second)) return;
    const isFinal = !isTemporary(second);
    if (isFinal) {
      const before = calls.slice(0, index).filter((call) => call.inode === inode);
      const lastWrite = before.findLastIndex((call) => writes.test(call.name));
      const lastSync = before.findLastIndex((call) => syncs.has(call.name));
      if (lastSync < lastWrite || lastSync < 0) problems.push(`${second} got its name before it was on disk`);
    }
    // A removal counts from the moment at which the final name is gone.
    if (!isFinal && isTemporary(path)) return;
    const folder = dirname(second);
    const isSynced = calls.slice(index).some((call) => syncs.has(call.name) && call.path === folder);
    if (!isSynced) problems.push(`${folder} was not synced after ${path} became ${second}`);
  });
  return problems;
}
