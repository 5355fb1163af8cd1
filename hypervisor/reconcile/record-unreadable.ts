import { EverbootFailure } from '../../domain/failures.ts';
import type { Inventory } from './inventory.ts';

/**
 * Looks at one thing. What does not answer, or is not what its place says, is noted, and keeps nothing else from being
 * found. Throws what is neither everboot's failure nor the operating system's word.
 */
export async function recordUnreadable(thing: string, { notes }: Inventory, look: () => Promise<void>): Promise<void> {
  try {
    await look();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (!(error instanceof EverbootFailure) && !/^E[A-Z0-9]+$/.test(code ?? '')) throw error;
    notes.push(`${thing} was not looked at: ${message}`);
  }
}
