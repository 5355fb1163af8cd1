import { EverbootFailure } from '../../domain/failures.ts';

/**
 * Looks at what a program made that ends with success though a write of it failed, for want of room or by a broken
 * disk. Throws HostIoError, beginning with `words`, where the program that looks says that something is wrong: made
 * once more, it may be right.
 */
export async function lookingForLostWrites(words: string, look: () => Promise<void>): Promise<void> {
  try {
    await look();
  } catch (error) {
    if (!(error instanceof EverbootFailure) || error.code !== 'ProgramFailed') throw error;
    throw new EverbootFailure('HostIoError', `${words}: ${error.message}`, { cause: error });
  }
}
