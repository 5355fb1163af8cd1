import { log } from '@temporalio/activity';
import { claimName } from '../domain/claim.ts';
import type { ReconciledItem, ReconcileOrder, ReconcileReport } from '../domain/host-maintenance.ts';
import { judgeTemporaryFile, type OperationFacts, reconcileReasons } from '../domain/judge-claim.ts';
import { prepareFolders } from '../hypervisor/host/prepare-host.ts';
import { ifInstanceIsFree } from '../hypervisor/instance/instance-lock.ts';
import {
  type Inventory,
  type Orphan,
  partsOf,
  recordStateIn,
  type TemporaryFile,
} from '../hypervisor/reconcile/inventory.ts';
import { readRecordState } from '../hypervisor/reconcile/record-state.ts';
import { removeOrphan, removeTemporaryFile } from '../hypervisor/reconcile/remove-orphan.ts';
import { takeInventory } from '../hypervisor/reconcile/take-inventory.ts';
import type { Host } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';
import { type NewestRuns, newestRuns } from './fencing/operation-runs.ts';
import { judgeOrphan, timing, wordsOf } from './reconcile/judge-orphan.ts';
import { mapConcurrently } from './reconcile/map-concurrently.ts';
import { reportOf } from './reconcile/reconcile-report.ts';
import { lookAfterGuests } from './resume-guests.ts';

/** Claims that are looked after at the same time: each costs Temporal a question, and a removal the disks. */
const atOnce = 4;

/**
 * Looks over everything on the host that is everboot's or looks so, and removes what provably is of an operation that
 * ended without success or that another one followed: with what an undo uses, under the instance's lock, and after
 * Temporal was asked once more. Everything else stays, with its reason. With `dryRun` nothing is changed.
 */
export async function reconcileHost(host: Host, order: ReconcileOrder): Promise<ReconcileReport> {
  const { configuration, paths } = host;
  return await withWorkControl(async ({ signal }) => {
    await prepareFolders(paths);
    const inventory = await takeInventory({ paths, libvirt: configuration.libvirt, signal });
    const reconciliation: Reconciliation = { host, order, inventory, signal, askOnce: newestRuns() };
    const byInstance = Map.groupBy(inventory.orphans.values(), ({ claim }) => claim.instanceId);
    const reconciled = await mapConcurrently([...byInstance.values()], { atOnce, signal }, (claims) =>
      reconcileClaims(reconciliation, claims),
    );
    const claimed = reconciled.flat();
    const files = await mapConcurrently(otherFiles(inventory, claimed), { atOnce, signal }, (file) =>
      reconcileFile(reconciliation, file),
    );
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

interface Reconciliation {
  readonly host: Host;
  readonly order: ReconcileOrder;
  readonly inventory: Inventory;
  readonly signal: AbortSignal;
  readonly askOnce: NewestRuns;
}

/** The claims on one instance, one after the other: they are removed under the same lock. */
async function reconcileClaims(reconciliation: Reconciliation, claims: readonly Orphan[]): Promise<ReconciledItem[]> {
  const items: ReconciledItem[] = [];
  for (const orphan of claims) items.push(await reconcileClaim(reconciliation, orphan));
  return items;
}

async function reconcileClaim(reconciliation: Reconciliation, orphan: Orphan): Promise<ReconciledItem> {
  const { host, order, inventory, signal } = reconciliation;
  const { claim } = orphan;
  const item = { subject: `instance ${claim.instanceId}`, claim, parts: partsOf(orphan) };
  const first = await judgeOrphan(reconciliation, orphan, recordStateIn(inventory, claim.instanceId));
  if (reconcileReasons[first.reason].action !== 'remove') return { ...item, ...first };
  const outcome = await ifInstanceIsFree(host.paths, claim.instanceId, async ({ descriptor }) => {
    if (order.dryRun) return first;
    // It may have become ready, or been started again, since it was found.
    const askOnce = newestRuns();
    const record = await readRecordState(host.paths, claim.instanceId);
    const second = await judgeOrphan({ ...reconciliation, askOnce }, orphan, record);
    if (record === 'unreadable' || reconcileReasons[second.reason].action !== 'remove') return second;
    try {
      await removeOrphan(host, orphan, record, { signal, descriptor });
      logRemoval({ ...item, ...second });
      return second;
    } catch (error) {
      signal.throwIfAborted();
      return { reason: 'NotRemoved', note: wordsOf(error) } as const;
    }
  });
  return { ...item, ...(outcome ?? { reason: 'Locked', note: first.note }) };
}

/** Partial files that do not go with their instance's directory. */
function otherFiles({ temporaryFiles, records }: Inventory, claimed: readonly ReconciledItem[]): TemporaryFile[] {
  const removed = new Set(
    claimed.flatMap(({ claim, reason }) =>
      claim !== null && reconcileReasons[reason].action === 'remove' ? [claimName(claim)] : [],
    ),
  );
  return temporaryFiles.filter(({ instanceId, isFolder }) => {
    const record = instanceId === null || isFolder ? undefined : records.get(instanceId);
    return record === undefined || !removed.has(claimName(record.claim));
  });
}

async function reconcileFile(reconciliation: Reconciliation, file: TemporaryFile): Promise<ReconciledItem> {
  const { host, order, signal } = reconciliation;
  const { instanceId, path, modifiedMs } = file;
  const item = { subject: path, claim: null, parts: [] };
  let newest: OperationFacts | null = null;
  try {
    if (instanceId !== null) newest = await reconciliation.askOnce(instanceId);
  } catch (error) {
    return { ...item, reason: 'NoAnswer', note: wordsOf(error) };
  }
  try {
    const reason = judgeTemporaryFile({ ...timing(host), modifiedMs, newest });
    if (reconcileReasons[reason].action !== 'remove' || order.dryRun) return { ...item, reason, note: '' };
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
 * Right after the removal: a reconciliation that is cut off later has no report. The worker's log shows warnings only,
 * and that something was removed is worth one.
 */
function logRemoval({ subject, claim, parts, reason, note }: ReconciledItem): void {
  const whose = claim === null ? '' : ` (${claimName(claim)})`;
  const why = note === '' ? reconcileReasons[reason].meaning : `${reconcileReasons[reason].meaning} (${note})`;
  log.warn(`reconciliation removed ${subject}${whose}: ${[...parts, why].join(', ')}`);
}
