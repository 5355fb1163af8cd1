import { EverbootFailure } from '../../domain/failures.ts';
import { runProgram } from '../process/run-program.ts';

/** A tenant may have made as many files as the file system takes. */
const timeoutMs = 60 * 60_000;

export interface TreeRemoval {
  readonly signal?: AbortSignal;
  /** Descriptors of the locks under which the tree is removed, see `runProgram`. */
  readonly heldLocks?: readonly number[];
}

/**
 * Removes a folder that a tenant has written in, such as a container's root; absence is success. `rm` walks it by
 * descriptors: Node gives whole paths to the kernel, which takes none that is longer than 4095 bytes, and keeps the
 * names of a whole folder in the worker's memory. Nothing that is mounted in it is entered.
 *
 * Throws HostIoError for what cannot be removed, and ProgramTimedOut.
 */
export async function removeTree(path: string, { signal, heldLocks = [] }: TreeRemoval = {}): Promise<void> {
  try {
    const control = { timeoutMs, heldLocks, ...(signal !== undefined && { signal }) };
    await runProgram('rm', ['-rf', '--one-file-system', '--', path], control);
  } catch (error) {
    if (!(error instanceof EverbootFailure) || error.code !== 'ProgramFailed') throw error;
    throw new EverbootFailure('HostIoError', error.message, { cause: error });
  }
}
