import { readFile } from 'node:fs/promises';
import type { HostPaths } from '../../domain/host-paths.ts';
import { publishText } from '../publish-file.ts';
import { readStateFile } from '../small-file.ts';
import { guestsOf, type Inventory } from './inventory.ts';

/** Where Linux says which start of the machine this is. */
const bootIdFile = '/proc/sys/kernel/random/boot_id';

/** What is remembered of a host's guests from one start of the machine to the next. */
export interface GuestNote {
  readonly bootId: string;
  /** Ids of the instances that should run, and were seen shut off: somebody wanted that. */
  readonly off: readonly string[];
}

/** Which start of the machine this is. */
export async function readBootId(path = bootIdFile): Promise<string> {
  return (await readFile(path, 'utf8')).trim();
}

/** What was noted; undefined before the first tending. */
export async function readGuestNote({ guests }: HostPaths): Promise<GuestNote | undefined> {
  const note = (await readStateFile(guests)) as Partial<GuestNote> | undefined;
  if (typeof note?.bootId !== 'string' || !Array.isArray(note.off)) return undefined;
  return { bootId: note.bootId, off: note.off };
}

/** Notes which of the guests that should run are shut off. Guests that are not noted are taken for running. */
export async function noteGuests(paths: HostPaths, bootId: string, inventory: Inventory): Promise<void> {
  const off = guestsOf(inventory).flatMap(({ wanted, domain, record }) =>
    wanted && domain === 'shut off' ? [record.claim.instanceId] : [],
  );
  const before = await readGuestNote(paths);
  const note: GuestNote = { bootId, off: off.sort() };
  if (JSON.stringify(before) === JSON.stringify(note)) return;
  await publishText(paths.guests, `${JSON.stringify(note)}\n`, 0o600);
}
