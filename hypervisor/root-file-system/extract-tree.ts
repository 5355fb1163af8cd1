import { constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { EverbootFailure } from '../../domain/failures.ts';
import { mountGuest } from '../injection/mount-guest.ts';
import { runProgram } from '../process/run-program.ts';
import { type GuestDisk, type GuestfishControl, withGuestfish } from '../programs/guestfish.ts';
import { type TreeLimits, type UnpackedTree, unpackTree } from './unpack-tree.ts';

/** The codes that guestfish fails with because of the image, or because nobody reads its archive any more. */
const codesOfImage: ReadonlySet<string> = new Set(['ProgramFailed', 'ImageUnacceptable']);

/**
 * Takes the files of a container's image out of its disk into a new folder. The file system is read by the kernel in
 * libguestfs' appliance; what comes to the host is an archive, through a pipe, so that no more of it is ever written
 * than was judged. The whole disk is the file system, as Nova's `setup_container` has it.
 *
 * Throws ImageUnacceptable (no file system there, or one that is no container's), ProgramMissing, HostUnsuitable, and
 * HostIoError for an appliance that was killed or whose disk failed.
 */
export async function extractTree(
  disk: GuestDisk,
  folder: string,
  limits: TreeLimits,
  control: GuestfishControl,
): Promise<UnpackedTree> {
  const pipe = join(control.folder, 'files');
  await runProgram('mkfifo', ['-m', '600', pipe], { signal: control.signal, timeoutMs: 10_000 });
  // Opened without waiting for a writer: one that never comes would keep a thread indefinitely.
  const end = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
  const archive = new Socket({ fd: end, readable: true, writable: false });
  let unpacking: Promise<UnpackedTree> | undefined;
  let refusal: unknown;
  try {
    return await withGuestfish(disk, control, async (guest) => {
      await mountGuest(guest, 'disk');
      unpacking = unpackTree(archive, folder, limits);
      unpacking.catch((error: unknown) => {
        refusal = error;
        // Else guestfish would wait indefinitely to be rid of the rest.
        archive.destroy();
      });
      // First the program's end: where the host killed it, the archive is cut off as well, and that is no image's fault.
      await guest.run('tar-out', '/', pipe, 'numericowner:true');
      return await unpacking;
    });
  } catch (error) {
    if (!(error instanceof EverbootFailure && codesOfImage.has(error.code))) throw error;
    if (refusal !== undefined) throw refusal;
    if (error.code !== 'ProgramFailed') throw error;
    throw new EverbootFailure('ImageUnacceptable', `the image’s files cannot be read: ${error.message}`, {
      cause: error,
      remedy: 'A container’s image is one file system, without partitions.',
    });
  } finally {
    // Whoever removes the folder now must not meet a writer.
    archive.destroy();
    await unpacking?.catch(() => undefined);
  }
}
