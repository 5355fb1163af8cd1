import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { EverbootFailure } from '../../domain/failures.ts';
import { writePrivateFile } from '../files/private-folder.ts';
import type { Guest } from '../programs/guestfish.ts';

/** No file that a system keeps its passwords or keys in is larger. */
const maxReadBytes = 2 ** 20;

/**
 * A file's name while it is written, beside the file that it becomes; one that a killed attempt left is overwritten.
 */
const temporaryFileName = '.everboot-tmp';

/**
 * The mounted file systems of a guest. Paths are the guest's; symbolic links lead nowhere but inside it. Everything
 * here throws ProgramFailed where the guest's file system refuses, and no message quotes a path.
 */
export interface GuestFiles {
  readonly exists: (path: string) => Promise<boolean>;
  /**
   * The bytes of a file; undefined when there is none. Throws ImageUnacceptable for what is no regular file, or a large
   * one.
   */
  readonly read: (path: string) => Promise<Buffer | undefined>;
  /**
   * Gives a file this content: the old one or the new one is there at any moment. Its owner, mode and labels stay, but
   * for the mode if one is given; a new file is root's. Through a symbolic link, the file that it leads to is written.
   */
  readonly write: (path: string, bytes: Uint8Array, options?: { readonly mode?: string }) => Promise<void>;
  /**
   * Makes a folder, root's and with this mode, where it is missing. Those above it that are missing are made with the
   * appliance's default, root's with mode 0755. True: it was missing.
   */
  readonly makeFolder: (path: string, mode: string) => Promise<boolean>;
  readonly setMode: (path: string, mode: string) => Promise<void>;
}

/** `folder` is where contents wait on the host until the appliance has taken them; only the worker may enter it. */
export function guestFiles({ run }: Guest, folder: string): GuestFiles {
  const isTrue = async (command: string, ...args: string[]): Promise<boolean> =>
    (await run(command, ...args)).trim() === 'true';
  const succeeds = async (command: string, path: string): Promise<boolean> => {
    try {
      await run(command, path);
      return true;
    } catch (error) {
      if (error instanceof EverbootFailure && error.code === 'ProgramFailed') return false;
      throw error;
    }
  };

  /** Where the links end: some of guestfish's commands would follow them in the appliance's own file system. */
  async function resolveFile(path: string): Promise<string | undefined> {
    if (await isTrue('is-file', path, 'followsymlinks:true')) return pathOf(await run('realpath', path));
    const isDangling = (await isTrue('is-symlink', path)) && !(await succeeds('stat', path));
    if (!isDangling && (await succeeds('lstat', path)))
      throw new EverbootFailure('ImageUnacceptable', 'what is there is not a regular file');
    return undefined;
  }

  return {
    exists: (path) => succeeds('stat', path),

    async read(path) {
      const resolved = await resolveFile(path);
      if (resolved === undefined) return undefined;
      const size = Number((await run('filesize', resolved)).trim());
      if (!(size <= maxReadBytes))
        throw new EverbootFailure('ImageUnacceptable', `a file is larger than ${maxReadBytes} bytes`);
      return Buffer.from(await run('base64-out', resolved, '/dev/stdout'), 'base64');
    },

    async write(path, bytes, { mode } = {}) {
      const resolved = await resolveFile(path);
      const target = resolved ?? path;
      const temporary = join(dirname(target), temporaryFileName);
      const staged = join(folder, randomUUID());
      await writePrivateFile(staged, bytes);
      await run('rm-f', temporary);
      await run('upload', staged, temporary);
      if (resolved !== undefined) await run('copy-attributes', resolved, temporary, 'all:true');
      if (mode !== undefined) await run('chmod', octal(mode), temporary);
      // Some file systems put the name on the disk before the content.
      if (resolved !== undefined) await run('sync');
      await run('rename', temporary, target);
    },

    async makeFolder(path, mode) {
      if (await succeeds('stat', path)) return false;
      await run('mkdir-p', path);
      await run('chown', '0', '0', path);
      await run('chmod', octal(mode), path);
      return true;
    },

    setMode: async (path, mode) => void (await run('chmod', octal(mode), path)),
  };
}

/** guestfish takes a number for decimal unless it begins with a 0. */
function octal(mode: string): string {
  return `0${mode}`;
}

/** The path that guestfish printed, unescaped. */
function pathOf(printed: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(printed.replace(/\n$/, ''), 'latin1'));
  } catch {
    throw new EverbootFailure('ImageUnacceptable', 'a symbolic link leads to a name that is not UTF-8');
  }
}
