import { log } from '@temporalio/activity';
import { EverbootFailure } from '../domain/failures.ts';
import type { ResumedGuest, ResumeReport } from '../domain/host-care.ts';
import { judgeGuest } from '../domain/judge-guest.ts';
import { ifInstanceIsFree } from '../hypervisor/instance/instance-lock.ts';
import { readInstanceRecord } from '../hypervisor/instance/instance-record.ts';
import { startDomain } from '../hypervisor/libvirt.ts';
import { noteGuests, readBootId, readGuestNote } from '../hypervisor/tending/guest-note.ts';
import { type Guest, guestsOf, type Inventory } from '../hypervisor/tending/inventory.ts';
import { takeInventory } from '../hypervisor/tending/take-inventory.ts';
import type { Host } from './host.ts';
import { inTurns } from './in-turns.ts';
import { askForNewestRun } from './operation-runs.ts';
import { withWorkControl } from './work-control.ts';

/** Guests that are started at the same time: each reads its whole system from the host's disks. */
const atOnce = 4;

/** What fits in a history; a host has some hundred guests. */
const maxListed = 500;

/**
 * Notes which guests are off, for the next start of the machine. Where it was started since the last note, that one stays
 * until the guests were started again; true: this is what the host is set to.
 */
export async function lookAfterGuests(host: Host, inventory: Inventory): Promise<boolean> {
  if (!inventory.libvirtAnswered) return false;
  const { paths, configuration, bootIdFile } = host;
  const [bootId, note] = [await readBootId(bootIdFile), await readGuestNote(paths)];
  const wasStarted = note !== undefined && note.bootId !== bootId;
  if (wasStarted && configuration.libvirt.resumeGuestsStateOnHostBoot) return true;
  await noteGuests(paths, bootId, inventory);
  return false;
}

/**
 * Starts every guest that ran when the machine went down, see `judgeGuest`. One that does not start keeps no other from
 * it. Carried out again it finds those that run. Throws LibvirtUnavailable, and TemporalUnreachable: whether a guest is
 * another host's by now must be known.
 */
export async function resumeGuests(host: Host): Promise<ResumeReport> {
  const { configuration, paths, bootIdFile } = host;
  const place = { paths, libvirt: configuration.libvirt };
  return await withWorkControl(async ({ signal }) => {
    const inventory = await takeInventory({ ...place, signal });
    if (!inventory.libvirtAnswered) throw new EverbootFailure('LibvirtUnavailable', inventory.notes.join('; '));
    const [bootId, note] = [await readBootId(bootIdFile), await readGuestNote(paths)];
    const off = new Set(note?.off);
    const looked = await inTurns(guestsOf(inventory), { atOnce, signal }, (guest) => resume(host, guest, off));
    // From here on the guests of this start count.
    await noteGuests(paths, bootId, await takeInventory({ ...place, signal }));
    return reportOf(
      configuration.host.name,
      looked.filter((guest) => guest !== null),
    );
  });
}

async function resume(host: Host, guest: Guest, off: ReadonlySet<string>): Promise<ResumedGuest | null> {
  const { configuration, paths } = host;
  const { claim, name } = guest.record;
  const said = { instanceId: claim.instanceId, name };
  const verdict = judgeGuest({
    ...{ wanted: guest.wanted, domain: guest.domain, wasOff: off.has(claim.instanceId), host: configuration.host.name },
    newest: guest.wanted && guest.domain === 'shut off' ? await askForNewestRun(claim.instanceId) : null,
  });
  if (verdict === 'not wanted') return null;
  if (verdict === 'runs already') return { ...said, outcome: verdict, note: '' };
  if (verdict !== 'start') return { ...said, outcome: 'left off', note: verdict.leftOff };
  const failure = await ifInstanceIsFree(paths, claim.instanceId, async () => {
    const record = await readInstanceRecord(paths, claim.instanceId);
    if (record?.claim.operationId !== claim.operationId) return 'it is not there any more';
    try {
      await startDomain(configuration.libvirt.connectionUri, claim);
      return '';
    } catch (error) {
      if (error instanceof EverbootFailure && error.code === 'DomainRejected') return error.message.slice(0, 300);
      throw error;
    }
  });
  if (failure === '') return { ...said, outcome: 'started', note: '' };
  return { ...said, outcome: 'left off', note: failure ?? 'something works on its files' };
}

function reportOf(host: string, guests: readonly ResumedGuest[]): ResumeReport {
  const leftOff = guests.filter(({ outcome }) => outcome === 'left off');
  const others = guests.filter(({ outcome }) => outcome !== 'left off');
  const started = guests.filter(({ outcome }) => outcome === 'started').length;
  log.warn(`guests after the start of the machine: ${started} started, ${leftOff.length} left off`);
  return { host, guests: [...leftOff, ...others].slice(0, maxListed), started, leftOff: leftOff.length };
}
