import { setTimeout as sleep } from 'node:timers/promises';

/** How often a removal looks for a free slot. */
const pollMs = 250;

/** One count for the whole process, since all of a host's removals write to the same disks. */
let taken = 0;

/**
 * Hundreds of removals run concurrently, and each would clear a volume: so many of them do at a time, and the others
 * wait. Throws the signal's reason when it is aborted before a slot is free.
 */
export async function withClearingSlot(slots: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (taken >= slots) await sleep(pollMs, undefined, { signal });
  signal.throwIfAborted();
  taken += 1;
  try {
    await work();
  } finally {
    taken -= 1;
  }
}
