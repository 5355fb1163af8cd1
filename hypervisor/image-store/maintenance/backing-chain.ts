import { constants } from 'node:fs';
import { open, realpath, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** QEMU's own limit for the name of a backing file. */
const maxNameBytes = 1023;
const maxDepth = 8;
const headerBytes = 20;
const qcow2Magic = 0x514649fb;

/**
 * The backing files of a disk, nearest first. It is read from the disks' headers and by no program, because a guest may
 * have written what it likes into its raw disk; the worst that it gets from that is a file that is kept.
 *
 * Throws the operating system's error when the disk is there and cannot be read: then nobody knows its backing files.
 */
export async function backingChain(disk: string): Promise<string[]> {
  const chain: string[] = [];
  let path = await backingFileOf(disk);
  while (path !== undefined && chain.length < maxDepth && !chain.includes(path)) {
    chain.push(path);
    path = await backingFileOf(path).catch(unlessOutOfOrder);
  }
  return chain;
}

/**
 * Below the disk itself the names may be a guest's invention, and one that leads nowhere must not keep the cache from
 * being swept. What the host lacks right now is another matter.
 */
function unlessOutOfOrder(error: NodeJS.ErrnoException): undefined {
  if (['EIO', 'EMFILE', 'ENFILE', 'ENOMEM', 'ESTALE'].includes(error.code ?? '')) throw error;
  return undefined;
}

/** Opening or reading these does things: a guest could start the host's watchdog, or eat its kernel's messages. */
const notFiles = /^\/(dev|proc|sys)\//;

/** Of a qcow2 header: magic, version, then offset (8 bytes) and length (4 bytes) of the backing file's name. */
async function backingFileOf(path: string): Promise<string | undefined> {
  try {
    const real = await realpath(path);
    if (notFiles.test(real) || !(await stat(real)).isFile()) return undefined;
    const file = await open(real, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const header = Buffer.alloc(headerBytes);
      const { bytesRead } = await file.read(header, 0, headerBytes, 0);
      if (bytesRead < headerBytes || header.readUInt32BE(0) !== qcow2Magic) return undefined;
      const offset = Number(header.readBigUInt64BE(8));
      const length = header.readUInt32BE(16);
      if (offset === 0 || length === 0 || length > maxNameBytes || !Number.isSafeInteger(offset)) return undefined;
      const name = Buffer.alloc(length);
      const read = await file.read(name, 0, length, offset);
      const backing = plainPath(name.toString('utf8', 0, read.bytesRead));
      return backing === undefined ? undefined : resolve(dirname(path), backing);
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** QEMU also takes `file:/path` for a name, and `json:` with the driver's options. */
function plainPath(name: string): string | undefined {
  const text = name.replace(/\0.*$/s, '');
  return text.startsWith('json:') ? fileInOptions(text.slice(5)) : text.replace(/^file:(\/\/)?/, '');
}

function fileInOptions(json: string): string | undefined {
  let found: string | undefined;
  try {
    JSON.parse(json, (key, value: unknown) => {
      if (/(^|\.)filename$/.test(key) && typeof value === 'string') found ??= value;
      return value;
    });
  } catch {
    // QEMU could not open that either.
  }
  return found;
}
