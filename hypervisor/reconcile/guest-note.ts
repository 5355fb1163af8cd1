import type { HostPaths } from '../../domain/host-paths.ts';
import { publishText } from '../files/publish-file.ts';
import { readStateFile } from '../files/small-file.ts';
import { guestsOf, type Inventory } from './inventory.ts';

/** The note on a host's guests, kept from one host boot to the next. */
export interface GuestNote {
  readonly bootId: string;
  /** Ids of the instances that should run, and were seen shut off: somebody wanted that. */
  readonly off: readonly string[];
  /**
   * Ids of those that were to be started with the machine, are shut off all the same, and that nobody wanted off: the
   * next start of the machine tries them again. None in notes of earlier releases.
   */
  readonly unstarted: readonly string[];
}

/** The note of the last reconciliation; undefined before the first one. */
export async function readGuestNote({ guests }: HostPaths): Promise<GuestNote | undefined> {
  const note = (await readStateFile(guests)) as Partial<GuestNote> | undefined;
  if (typeof note?.bootId !== 'string' || !Array.isArray(note.off)) return undefined;
  return { bootId: note.bootId, off: note.off, unstarted: Array.isArray(note.unstarted) ? note.unstarted : [] };
}

/**
 * Notes which of the guests that should run are shut off, and, as `isOnPurpose` says of each id, whether somebody
 * wanted that. Guests that are not noted are taken for running.
 */
export async function noteGuests(
  paths: HostPaths,
  { bootId, inventory }: { readonly bootId: string; readonly inventory: Inventory },
  isOnPurpose: (instanceId: string) => boolean,
): Promise<void> {
  const ids = guestsOf(inventory)
    .filter(({ wanted, domain }) => wanted && domain === 'shut off')
    .map(({ record }) => record.claim.instanceId)
    .sort();
  const note: GuestNote = { bootId, off: ids.filter(isOnPurpose), unstarted: ids.filter((id) => !isOnPurpose(id)) };
  if (JSON.stringify(await readGuestNote(paths)) === JSON.stringify(note)) return;
  await publishText(paths.guests, `${JSON.stringify(note)}\n`, 0o600);
}
