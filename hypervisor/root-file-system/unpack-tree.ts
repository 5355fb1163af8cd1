import { constants } from 'node:fs';
import { chmod, chown, lchown, link, lstat, mkdir, open, symlink } from 'node:fs/promises';
import { EverbootFailure } from '../../domain/failures.ts';
import { type ByteReader, byteReader } from './byte-reader.ts';
import { nextEntry, skipPadding, type TarEntry } from './tar-entries.ts';

export interface TreeLimits {
  /** For the contents of all files together. */
  readonly bytes: number;
  /** For what they take on the disk, in whole blocks and with their inodes. */
  readonly diskBytes: number;
  readonly entries: number;
  /** For the paths of all folders together, which stay in memory. */
  readonly folderNameBytes: number;
}

export interface UnpackedTree {
  readonly entries: number;
  readonly bytes: number;
  /** Device nodes, pipes and sockets, which a container gets from libvirt or makes itself. */
  readonly skipped: number;
}

/** The kernel's own limits, and more folders in each other than any system has. */
const max = { nameBytes: 255, pathBytes: 4095, depth: 256 };

/** The least space that most file systems give to a file, and to its inode. */
const disk = { blockBytes: 4096, inodeBytes: 512 };

/** The folders that were made so far, by their paths in the tree; nothing is ever written into any other. */
interface Known {
  readonly folders: Set<string>;
  nameBytes: number;
  readonly maxNameBytes: number;
}

/** Errors of the kernel that the archive causes, with the problem that each one means. */
const causedByArchive: Readonly<Record<string, string>> = {
  EEXIST: 'a path in it is there twice',
  ENAMETOOLONG: 'a path in it is too long',
  EMLINK: 'a file in it has too many names, or a folder too many folders',
  EINVAL: 'a path or a number in it is none that the file system takes',
  EILSEQ: 'a path in it is none that the file system takes',
  EOVERFLOW: 'a number in it is too large',
};

/**
 * Makes a tenant's files in a new folder, as root, with their owners, permissions and times. A path is written only in
 * folders that this call has made, and links are made but never followed, so that nothing gets anywhere else; the
 * folder has to lie where nobody but root can enter, since setuid programs are what they were.
 *
 * Of what was made only the folders are kept in memory; that nothing is there twice, the kernel sees to.
 *
 * Throws ImageUnacceptable for an archive that no file system could be packed as, or that is over a limit.
 */
export async function unpackTree(
  archive: AsyncIterable<Buffer>,
  folder: string,
  limits: TreeLimits,
): Promise<UnpackedTree> {
  const reader = byteReader(archive);
  const known: Known = { folders: new Set(['']), nameBytes: 0, maxNameBytes: limits.folderNameBytes };
  const done = { entries: 0, bytes: 0, skipped: 0 };
  let diskBytes = 0;
  await mkdir(folder, { mode: 0o700 });
  for (let entry = await nextEntry(reader); entry !== null; entry = await nextEntry(reader)) {
    done.entries += 1;
    done.bytes += entry.sizeBytes;
    if (done.entries > limits.entries) throw refused(`it has more than ${limits.entries} files`);
    if (done.bytes > limits.bytes) throw refused(`its files have more than ${limits.bytes} bytes`);
    diskBytes += disk.inodeBytes + wholeBlocks(entry);
    if (diskBytes > limits.diskBytes) throw refused(`its files take more than ${limits.diskBytes} bytes on a disk`);
    if (entry.type === 'device or pipe') done.skipped += 1;
    else await makeEntry({ entry, name: cleanName(entry.name, folder), folder }, known, reader).catch(blame);
  }
  // The rest is padding; whoever writes it must not find the pipe closed.
  while ((await reader.take(1)) !== null);
  return done;
}

function wholeBlocks({ type, sizeBytes }: TarEntry): number {
  return type === 'folder' ? disk.blockBytes : Math.ceil(sizeBytes / disk.blockBytes) * disk.blockBytes;
}

function blame(error: unknown): never {
  const problem = causedByArchive[(error as NodeJS.ErrnoException).code ?? ''];
  throw problem === undefined ? error : refused(problem);
}

interface Making {
  readonly entry: TarEntry;
  readonly name: string;
  /** The tree's top. */
  readonly folder: string;
}

async function makeEntry(making: Making, known: Known, reader: ByteReader): Promise<void> {
  const { entry, name, folder } = making;
  const path = pathOf(folder, name);
  if (name === '' && entry.type === 'folder') return await giveAway(path, entry);
  if (!known.folders.has(parentOf(name))) throw refused('a path in it is in no folder');
  switch (entry.type) {
    case 'folder':
      known.nameBytes += name.length;
      if (known.nameBytes > known.maxNameBytes)
        throw refused(`its folders’ paths have more than ${known.maxNameBytes} bytes`);
      await mkdir(path, { mode: 0o700 });
      known.folders.add(name);
      return await giveAway(path, entry);
    case 'file':
      return await writeFile(path, entry, reader);
    case 'link':
      if (entry.target === '' || entry.target.length > max.pathBytes) throw refused('a link in it leads nowhere');
      await symlink(Buffer.from(entry.target, 'latin1'), path);
      return await lchown(path, entry.userId, entry.groupId);
    case 'hard link': {
      const target = cleanName(entry.target, folder);
      if (!(await isMadeFile(target, folder, known))) throw refused('a second name in it is of no file');
      return await link(pathOf(folder, target), path);
    }
  }
}

/** Where the folder is one of ours, so is what is in it; a link there is not looked through. */
async function isMadeFile(name: string, folder: string, known: Known): Promise<boolean> {
  if (!known.folders.has(parentOf(name))) return false;
  return await lstat(pathOf(folder, name)).then(
    (found) => found.isFile(),
    () => false,
  );
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

/** `./usr/bin/` is usr/bin. The kernel's limit is for the whole path, with the tree's own in front. */
function cleanName(name: string, folder: string): string {
  const parts = name.split('/').filter((part, index) => part !== '' && !(index === 0 && part === '.'));
  const isFine = parts.every((part) => part !== '.' && part !== '..' && part.length <= max.nameBytes);
  if (!isFine || name.startsWith('/') || parts.length > max.depth || isTooLong(name, folder)) {
    throw refused('a path in it is none, or is too long or too deep');
  }
  return parts.join('/');
}

function isTooLong(name: string, folder: string): boolean {
  return Buffer.byteLength(folder) + 1 + name.length > max.pathBytes;
}

function parentOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('/')));
}

function pathOf(folder: string, name: string): Buffer {
  return Buffer.concat([Buffer.from(name === '' ? folder : `${folder}/`), Buffer.from(name, 'latin1')]);
}

function refused(problem: string): EverbootFailure {
  return new EverbootFailure('ImageUnacceptable', `the image’s files cannot be a container’s: ${problem}`);
}
