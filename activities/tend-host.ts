import { log } from '@temporalio/activity';
import { claimName } from '../domain/claim.ts';
import type { TendedItem, TendOrder, TendReport } from '../domain/host-care.ts';
import { judgeTemporaryFile, type OperationFacts, tendReasons } from '../domain/judge-claim.ts';
import { ifInstanceIsFree } from '../hypervisor/instance/instance-lock.ts';
import { prepareFolders } from '../hypervisor/prepare-folders.ts';
import { type Inventory, metIn, partsOf, type TemporaryFile, type Traces } from '../hypervisor/tending/inventory.ts';
import { meetRecord } from '../hypervisor/tending/met-record.ts';
import { removeTemporaryFile, removeTraces } from '../hypervisor/tending/remove-traces.ts';
import { takeInventory } from '../hypervisor/tending/take-inventory.ts';
import type { Host } from './host.ts';
import { inTurns } from './in-turns.ts';
import { judgeTraces, timing, wordsOf } from './judge-traces.ts';
import { type NewestRuns, newestRuns } from './operation-runs.ts';
import { lookAfterGuests } from './resume-guests.ts';
import { reportOf } from './tend-report.ts';
import { withWorkControl } from './work-control.ts';

/** Claims that are looked after at the same time: each costs Temporal a question, and a removal the disks. */
const atOnce = 4;

/**
 * Looks over everything on the host that is everboot's or looks so, and removes what provably is of an operation that
 * ended without success or that another one followed: with what an undo uses, under the instance's lock, and after
 * Temporal was asked once more. Everything else stays, with its reason. With `dryRun` nothing is changed.
 */
export async function tendHost(host: Host, order: TendOrder): Promise<TendReport> {
  const { configuration, paths } = host;
  return await withWorkControl(async ({ signal }) => {
    await prepareFolders(paths);
    const inventory = await takeInventory({ paths, libvirt: configuration.libvirt, signal });
    const tending: Tending = { host, order, inventory, signal, askOnce: newestRuns() };
    const byInstance = Map.groupBy(inventory.traces.values(), ({ claim }) => claim.instanceId);
    const tended = await inTurns([...byInstance.values()], { atOnce, signal }, (claims) => tendClaims(tending, claims));
    const claimed = tended.flat();
    const files = await inTurns(otherFiles(inventory, claimed), { atOnce, signal }, (file) => tendFile(tending, file));
    const items = [
      ...claimed,
      // A running build has some at any time.
      ...files.filter(({ reason }) => reason !== 'Owned'),
      ...inventory.foreign.map(({ subject, reason }) => ({ subject, reason, claim: null, parts: [], note: '' })),
    ];
    const report = reportOf(configuration.host.name, order, items, inventory.notes);
    const resumeGuests = order.dryRun ? false : await lookAfterGuests(host, inventory);
    return { ...report, resumeGuests };
  });
}

interface Tending {
  readonly host: Host;
  readonly order: TendOrder;
  readonly inventory: Inventory;
  readonly signal: AbortSignal;
  readonly askOnce: NewestRuns;
}

/** The claims on one instance, one after the other: they are removed under the same lock. */
async function tendClaims(tending: Tending, claims: readonly Traces[]): Promise<TendedItem[]> {
  const items: TendedItem[] = [];
  for (const traces of claims) items.push(await tendClaim(tending, traces));
  return items;
}

async function tendClaim(tending: Tending, traces: Traces): Promise<TendedItem> {
  const { host, order, inventory, signal } = tending;
  const { claim } = traces;
  const item = { subject: `instance ${claim.instanceId}`, claim, parts: partsOf(traces) };
  const first = await judgeTraces(tending, traces, metIn(inventory, claim.instanceId));
  if (tendReasons[first.reason].action !== 'remove') return { ...item, ...first };
  const outcome = await ifInstanceIsFree(host.paths, claim.instanceId, async ({ descriptor }) => {
    if (order.dryRun) return first;
    // It may have become ready, or been begun anew, since it was found.
    const askOnce = newestRuns();
    const record = await meetRecord(host.paths, claim.instanceId);
    const second = await judgeTraces({ ...tending, askOnce }, traces, record);
    if (record === 'unreadable' || tendReasons[second.reason].action !== 'remove') return second;
    try {
      await removeTraces(host, traces, record, { signal, descriptor });
      logRemoval({ ...item, ...second });
      return second;
    } catch (error) {
      signal.throwIfAborted();
      return { reason: 'NotRemoved', note: wordsOf(error) } as const;
    }
  });
  return { ...item, ...(outcome ?? { reason: 'Locked', note: first.note }) };
}

/** Half-made files that do not go with their instance's directory. */
function otherFiles({ temporaryFiles, records }: Inventory, claimed: readonly TendedItem[]): TemporaryFile[] {
  const removed = new Set(
    claimed.flatMap(({ claim, reason }) =>
      claim !== null && tendReasons[reason].action === 'remove' ? [claimName(claim)] : [],
    ),
  );
  return temporaryFiles.filter(({ instanceId, isFolder }) => {
    const record = instanceId === null || isFolder ? undefined : records.get(instanceId);
    return record === undefined || !removed.has(claimName(record.claim));
  });
}

async function tendFile(tending: Tending, file: TemporaryFile): Promise<TendedItem> {
  const { host, order, signal } = tending;
  const { instanceId, path, modifiedMs } = file;
  const item = { subject: path, claim: null, parts: [] };
  let newest: OperationFacts | null = null;
  try {
    if (instanceId !== null) newest = await tending.askOnce(instanceId);
  } catch (error) {
    return { ...item, reason: 'NoAnswer', note: wordsOf(error) };
  }
  try {
    const reason = judgeTemporaryFile({ ...timing(host), modifiedMs, newest });
    if (tendReasons[reason].action !== 'remove' || order.dryRun) return { ...item, reason, note: '' };
    const removed = await removeTemporaryFile(host.paths, file, signal);
    if (!removed) return { ...item, reason: 'Locked', note: '' };
    logRemoval({ ...item, reason, note: '' });
    return { ...item, reason, note: '' };
  } catch (error) {
    signal.throwIfAborted();
    return { ...item, reason: 'NotRemoved', note: wordsOf(error) };
  }
}

/**
 * Right after the removal: a tending that is cut off later has no report. The worker's log shows warnings only, and that
 * something was removed is worth one.
 */
function logRemoval({ subject, claim, parts, reason, note }: TendedItem): void {
  const whose = claim === null ? '' : ` (${claimName(claim)})`;
  const why = note === '' ? tendReasons[reason].meaning : `${tendReasons[reason].meaning} (${note})`;
  log.warn(`tending removed ${subject}${whose}: ${[...parts, why].join(', ')}`);
}
