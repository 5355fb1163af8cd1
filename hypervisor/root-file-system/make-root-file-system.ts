import { chmod, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EverbootFailure } from '../../domain/failures.ts';
import { withPrivateFolder } from '../files/private-folder.ts';
import { syncPath, temporaryName } from '../files/publish-file.ts';
import { removeTree } from '../files/remove-tree.ts';
import { isThere } from '../files/small-file.ts';
import { runProgram } from '../process/run-program.ts';
import type { GuestDisk, GuestfishControl } from '../programs/guestfish.ts';
import { extractTree } from './extract-tree.ts';

/** More than a distribution with everything in it has: of files, and of bytes in the paths of its folders. */
const most = { entries: 1_000_000, folderNameBytes: 64 * 2 ** 20 };

/** For the last block of each file, and its inode: the image may have smaller ones, or store small files in others'. */
const roundingBytes = 256 * 2 ** 20;

/** The space that an image's files may take on the disk of a container's root. */
export function rootRoomBytes(imageBytes: number): number {
  return imageBytes + roundingBytes;
}

/**
 * Makes the folder that is a container's root from its root disk; one that is there already is whole. It gets its final
 * name only when everything in it is on disk.
 *
 * The instance's directory is closed to everyone but root first: a tenant's setuid programs must not be found by the
 * users of the host. Nothing else of the container is opened by anyone but root either.
 *
 * Throws what `extractTree` does, and HostUnsuitable for a worker that is not root.
 */
export async function makeRootFileSystem(
  path: string,
  { disk, bytes }: { readonly disk: GuestDisk; readonly bytes: number },
  control: Omit<GuestfishControl, 'folder'>,
): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new EverbootFailure('HostUnsuitable', 'only root can make the files of a container', {
      remedy: 'Run the worker as root on hosts with [libvirt] virt_type lxc.',
    });
  }
  await chmod(dirname(path), 0o700);
  if (await isThere(path)) return;
  const draft = temporaryName(path);
  try {
    const limits = { ...most, bytes, diskBytes: rootRoomBytes(bytes) };
    await withPrivateFolder(path, (folder) => extractTree(disk, draft, limits, { ...control, folder }));
    await runProgram('sync', ['-f', draft], { ...control, timeoutMs: 10 * 60_000 });
    await rename(draft, path);
  } catch (error) {
    // A step that was stopped clears up as well.
    await removeTree(draft, { heldLocks: control.heldLocks });
    throw error;
  }
  await syncPath(dirname(path));
}
