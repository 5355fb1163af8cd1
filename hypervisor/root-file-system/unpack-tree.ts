import { constants } from 'node:fs';
import { chmod, chown, lchown, link, mkdir, open, symlink } from 'node:fs/promises';
import { EverbootFailure } from '../../domain/failures.ts';
import { type ByteReader, byteReader } from './byte-reader.ts';
import { nextEntry, skipPadding, type TarEntry } from './tar-entries.ts';

export interface TreeLimits {
  /** For the contents of all files together. */
  readonly bytes: number;
  readonly entries: number;
}

export interface UnpackedTree {
  readonly entries: number;
  readonly bytes: number;
  /** Device nodes, pipes and sockets, which a container gets from libvirt or makes itself. */
  readonly skipped: number;
}

/** The kernel's own limits, and more folders in each other than any system has. */
const max = { nameBytes: 255, pathBytes: 4095, depth: 256 };

/** What was made so far, by its path in the tree; nothing else is ever written into. */
type Known = Map<string, 'folder' | 'file' | 'other'>;

/**
 * Makes a tenant's files in a new folder, as root, with their owners, permissions and times. A path is written only in
 * folders that this call has made, and links are made but never followed, so that nothing gets anywhere else; the folder
 * has to lie where nobody but root can enter, since setuid programs are what they were.
 *
 * Throws ImageUnacceptable for an archive that no file system could be packed as, or that is over a limit.
 */
export async function unpackTree(
  archive: AsyncIterable<Buffer>,
  folder: string,
  limits: TreeLimits,
): Promise<UnpackedTree> {
  const reader = byteReader(archive);
  const known: Known = new Map([['', 'folder']]);
  const done = { entries: 0, bytes: 0, skipped: 0 };
  await mkdir(folder, { mode: 0o700 });
  for (let entry = await nextEntry(reader); entry !== null; entry = await nextEntry(reader)) {
    done.entries += 1;
    done.bytes += entry.sizeBytes;
    if (done.entries > limits.entries) throw refused(`it has more than ${limits.entries} files`);
    if (done.bytes > limits.bytes) throw refused(`its files have more than ${limits.bytes} bytes`);
    const name = cleanName(entry.name);
    if (entry.type === 'device or pipe') done.skipped += 1;
    else await makeEntry({ entry, name, path: pathOf(folder, name), folder }, known, reader);
  }
  // The rest is padding; whoever writes it must not find the pipe closed.
  while ((await reader.take(1)) !== null);
  return done;
}

interface Making {
  readonly entry: TarEntry;
  readonly name: string;
  readonly path: Buffer;
  /** The tree's top. */
  readonly folder: string;
}

async function makeEntry(making: Making, known: Known, reader: ByteReader): Promise<void> {
  const { entry, name, path, folder } = making;
  if (name === '' && entry.type === 'folder') return await giveAway(path, entry);
  const parent = name.slice(0, Math.max(0, name.lastIndexOf('/')));
  if (known.has(name) || known.get(parent) !== 'folder') throw refused('a path in it is there twice, or in no folder');
  switch (entry.type) {
    case 'folder':
      known.set(name, 'folder');
      await mkdir(path, { mode: 0o700 });
      return await giveAway(path, entry);
    case 'file':
      known.set(name, 'file');
      return await writeFile(path, entry, reader);
    case 'link':
      known.set(name, 'other');
      if (entry.target === '' || entry.target.length > max.pathBytes) throw refused('a link in it leads nowhere');
      await symlink(Buffer.from(entry.target, 'latin1'), path);
      return await lchown(path, entry.userId, entry.groupId);
    case 'hard link': {
      const target = cleanName(entry.target);
      if (known.get(target) !== 'file') throw refused('a second name in it is of no file');
      known.set(name, 'file');
      return await link(pathOf(folder, target), path);
    }
  }
}

async function writeFile(path: Buffer, entry: TarEntry, reader: ByteReader): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = await open(path, flags, 0o600);
  try {
    for await (const piece of reader.pieces(entry.sizeBytes)) await file.writeFile(piece);
    await skipPadding(reader, entry.sizeBytes);
    // A new owner takes setuid away, so the mode comes after it.
    await file.chown(entry.userId, entry.groupId);
    await file.chmod(entry.mode);
    await file.utimes(entry.modifiedAt, entry.modifiedAt);
  } finally {
    await file.close();
  }
}

/** Only of folders that this call has made, where no link is. */
async function giveAway(path: Buffer, { userId, groupId, mode }: TarEntry): Promise<void> {
  await chown(path, userId, groupId);
  await chmod(path, mode);
}

/** `./usr/bin/` is usr/bin. */
function cleanName(name: string): string {
  const parts = name.split('/').filter((part, index) => part !== '' && !(index === 0 && part === '.'));
  const isFine = parts.every((part) => part !== '.' && part !== '..' && part.length <= max.nameBytes);
  if (!isFine || name.startsWith('/') || parts.length > max.depth || name.length > max.pathBytes) {
    throw refused('a path in it is none, or is too long or too deep');
  }
  return parts.join('/');
}

function pathOf(folder: string, name: string): Buffer {
  return Buffer.concat([Buffer.from(name === '' ? folder : `${folder}/`), Buffer.from(name, 'latin1')]);
}

function refused(problem: string): EverbootFailure {
  return new EverbootFailure('ImageUnacceptable', `the image’s files cannot be a container’s: ${problem}`);
}
