import { log } from '@temporalio/activity';
import { EverbootFailure } from '../domain/failures.ts';
import type { ResumedGuest, ResumeReport } from '../domain/host-maintenance.ts';
import { type GuestVerdict, judgeGuest } from '../domain/judge-guest.ts';
import { readBootId } from '../hypervisor/files/boot-id.ts';
import { ifInstanceIsFree } from '../hypervisor/instance/instance-lock.ts';
import { readInstanceRecord } from '../hypervisor/instance/instance-record.ts';
import { startDomain } from '../hypervisor/libvirt/libvirt.ts';
import { noteGuests, readGuestNote } from '../hypervisor/reconcile/guest-note.ts';
import { type Guest, guestsOf, type Inventory } from '../hypervisor/reconcile/inventory.ts';
import { takeInventory } from '../hypervisor/reconcile/take-inventory.ts';
import type { Host } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';
import { askForNewestRun } from './fencing/operation-runs.ts';
import { hasPendingCleanup } from './fencing/pending-cleanup.ts';
import { mapConcurrently } from './reconcile/map-concurrently.ts';

/** Guests that are started at the same time: each reads its whole system from the host's disks. */
const atOnce = 4;

/** As many as fit in a history; a host has some hundred guests. */
const maxListed = 500;

/**
 * Notes which guests are off, for the next host reboot. Where it was started since the last note, that one stays until
 * the guests were started again; true: this is what the host is set to.
 */
export async function lookAfterGuests(host: Host, inventory: Inventory): Promise<boolean> {
  if (!inventory.libvirtAnswered) return false;
  const { paths, configuration, bootIdFile } = host;
  const [bootId, note] = [await readBootId(bootIdFile), await readGuestNote(paths)];
  const wasStarted = note !== undefined && note.bootId !== bootId;
  if (wasStarted && configuration.libvirt.resumeGuestsStateOnHostBoot) return true;
  // One that could not be started with the machine is off by no wish of anybody's, however often it is seen.
  await noteGuests(paths, { bootId, inventory }, (id) => note?.unstarted.includes(id) !== true);
  return false;
}

/**
 * Starts every guest that ran when the machine went down, see `judgeGuest`. One that does not start keeps no other from
 * it. Carried out again it finds those that run. Throws LibvirtUnavailable, and TemporalUnreachable: whether a guest is
 * another host's by now must be known; both when every other guest has been handled.
 */
export async function resumeGuests(host: Host): Promise<ResumeReport> {
  const { configuration, paths, bootIdFile } = host;
  const place = { paths, libvirt: configuration.libvirt };
  return await withWorkControl(async ({ signal }) => {
    const inventory = await answeredInventory({ ...place, signal });
    const [bootId, note] = [await readBootId(bootIdFile), await readGuestNote(paths)];
    const off = new Set(note?.off);
    const unanswered: unknown[] = [];
    const looked = await mapConcurrently(guestsOf(inventory), { atOnce, signal }, async (guest) => {
      try {
        return await resume(host, guest, off);
      } catch (error) {
        signal.throwIfAborted();
        if (isNoAnswer(error)) unanswered.push(error);
        return leftOff(guest, error instanceof Error ? error.message : String(error));
      }
    });
    // The next attempt asks again; what was noted before the start of the machine still counts for it.
    if (unanswered.length > 0) throw unanswered[0];
    // From here on the guests of this start count.
    const after = await answeredInventory({ ...place, signal });
    await noteGuests(paths, { bootId, inventory: after }, (id) => off.has(id));
    return reportOf(
      configuration.host.name,
      looked.filter((guest) => guest !== null),
    );
  });
}

/** The host's inventory. Without libvirt's answer it would say that no guest is shut off. */
async function answeredInventory(place: Parameters<typeof takeInventory>[0]): Promise<Inventory> {
  const inventory = await takeInventory(place);
  if (!inventory.libvirtAnswered) throw new EverbootFailure('LibvirtUnavailable', inventory.notes.join('; '));
  return inventory;
}

/** Whether the error is an absent answer, which later attempts get, and says nothing of a guest. */
function isNoAnswer(error: unknown): boolean {
  return (
    error instanceof EverbootFailure && (error.code === 'LibvirtUnavailable' || error.code === 'TemporalUnreachable')
  );
}

async function resume({ configuration, paths }: Host, guest: Guest, off: ReadonlySet<string>) {
  const { claim } = guest.record;
  const { instanceId, operationId } = claim;
  const host = configuration.host.name;
  const known = { host, wanted: guest.wanted, domain: guest.domain, wasOff: off.has(instanceId) };
  const first = judgeGuest({ ...known, newest: null, isBeingCleared: false });
  if (first !== 'start') return outcomeOf(guest, first);
  // Temporal is asked under the lock that whatever removes the instance takes: what it says holds until the start.
  const outcome = await ifInstanceIsFree(paths, instanceId, async () => {
    const record = await readInstanceRecord(paths, instanceId);
    if (record?.claim.operationId !== operationId) return leftOff(guest, 'it is not there any more');
    const newest = await askForNewestRun(instanceId);
    const isBeingCleared = await hasPendingCleanup(host, instanceId, operationId);
    const second = judgeGuest({ ...known, newest, isBeingCleared });
    if (second === 'start') await startDomain(configuration.libvirt.connectionUri, claim);
    return outcomeOf(guest, second);
  });
  return outcome ?? leftOff(guest, 'something works on its files');
}

function outcomeOf(guest: Guest, verdict: GuestVerdict): ResumedGuest | null {
  if (verdict === 'not wanted') return null;
  if (verdict === 'start') return saidOf(guest, 'started', '');
  return verdict === 'runs already' ? saidOf(guest, verdict, '') : leftOff(guest, verdict.leftOff);
}

function leftOff(guest: Guest, note: string): ResumedGuest {
  return saidOf(guest, 'left off', note.slice(0, 300));
}

function saidOf({ record }: Guest, outcome: ResumedGuest['outcome'], note: string): ResumedGuest {
  return { instanceId: record.claim.instanceId, name: record.name, outcome, note };
}

function reportOf(host: string, guests: readonly ResumedGuest[]): ResumeReport {
  const leftOff = guests.filter(({ outcome }) => outcome === 'left off');
  const others = guests.filter(({ outcome }) => outcome !== 'left off');
  const started = guests.filter(({ outcome }) => outcome === 'started').length;
  log.warn(`guests after a host reboot: ${started} started, ${leftOff.length} left off`);
  return { host, guests: [...leftOff, ...others].slice(0, maxListed), started, leftOff: leftOff.length };
}
