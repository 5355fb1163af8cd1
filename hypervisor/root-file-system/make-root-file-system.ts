import { chmod, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EverbootFailure } from '../../domain/failures.ts';
import type { GuestDisk, GuestfishControl } from '../guestfish.ts';
import { withPrivateFolder } from '../private-folder.ts';
import { syncPath, temporaryName } from '../publish-file.ts';
import { removeTree } from '../remove-tree.ts';
import { runProgram } from '../run-program.ts';
import { isThere } from '../small-file.ts';
import { extractTree } from './extract-tree.ts';

/** More than a distribution with everything in it has. */
const maxEntries = 1_000_000;

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
    const limits = { bytes, entries: maxEntries };
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
