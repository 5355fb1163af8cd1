import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** QEMU's own limit for the name of a backing file. */
const maxNameBytes = 1023;
const maxDepth = 8;
const headerBytes = 20;
const qcow2Magic = 0x514649fb;

/**
 * The files that a disk lies on, nearest first. It is read from the disks' headers and by no program, because a guest may
 * have written what it likes into its raw disk; the worst that it gets from that is a file that is kept.
 */
export async function backingChain(disk: string): Promise<string[]> {
  const chain: string[] = [];
  let path: string | undefined = disk;
  for (let depth = 0; depth < maxDepth; depth += 1) {
    path = await backingFileOf(path);
    if (path === undefined || chain.includes(path)) break;
    chain.push(path);
  }
  return chain;
}

/** Of a qcow2 header: magic, version, then offset (8 bytes) and length (4 bytes) of the backing file's name. */
async function backingFileOf(path: string): Promise<string | undefined> {
  // Opening a pipe or a device must neither wait nor do anything.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    if (!(await file.stat()).isFile()) return undefined;
    const header = Buffer.alloc(headerBytes);
    const { bytesRead } = await file.read(header, 0, headerBytes, 0);
    if (bytesRead < headerBytes || header.readUInt32BE(0) !== qcow2Magic) return undefined;
    const offset = Number(header.readBigUInt64BE(8));
    const length = header.readUInt32BE(16);
    if (offset === 0 || length === 0 || length > maxNameBytes || !Number.isSafeInteger(offset)) return undefined;
    const name = Buffer.alloc(length);
    const read = await file.read(name, 0, length, offset);
    return resolve(dirname(path), plainPath(name.toString('utf8', 0, read.bytesRead)));
  } catch {
    // A disk that cannot be read has no backing file that anybody could use.
    return undefined;
  } finally {
    await file.close();
  }
}

/** QEMU also takes `file:/path` for a name. */
function plainPath(name: string): string {
  return name.replace(/\0.*$/s, '').replace(/^file:(\/\/)?/, '');
}
