import type { DeleteInstanceInput, DeleteInstanceResult } from '../domain/operations.ts';
import { deferCleanup } from './defer-cleanup.ts';
import { firstContact, stepsOn } from './host-steps.ts';
import { type OperationTracker, trackOperation } from './operation-tracker.ts';
import { handleHostGone } from './operator-updates.ts';
import { undoOnFailure } from './undo-on-failure.ts';
import { watchingHost } from './watch-host.ts';

/**
 * Deletes an instance: its domain first, so that nothing uses the disks, then its files and its claims on the cache.
 * Deleting continues until it is done; what is not there counts as deleted. Where an operator says that the host is
 * gone permanently, the deletion ends at once, and the host removes its orphans when it is back after all.
 */
export async function deleteInstance(input: DeleteInstanceInput): Promise<DeleteInstanceResult> {
  const { host, instanceId, hostUnreachableAfterMs } = input;
  const tracker = trackOperation('delete', host, 'Deleting');
  const gone = handleHostGone(tracker).hostGone();
  const result = await watchingHost<DeleteInstanceResult | null>(host, tracker, () => removeFrom(input, tracker), {
    unreachableAfterMs: hostUnreachableAfterMs,
    interrupt: gone.then(() => null),
  });
  if (result !== null) return result;
  tracker.leaveSteps();
  tracker.note(`abandoned on ${host}`);
  await deferCleanup({ host, instanceId, operationId: null, name: instanceId });
  tracker.enter('Deleted');
  return { instanceId, host, existed: true, cleanupPendingOn: host };
}

async function removeFrom(
  { host: hostName, instanceId }: DeleteInstanceInput,
  tracker: OperationTracker,
): Promise<DeleteInstanceResult> {
  const host = stepsOn(hostName, tracker);
  // Nothing is registered: a deletion that was cancelled half-way has nothing to give back, and can be asked for again.
  return await undoOnFailure(tracker, async () => {
    const title = `read the record of ${instanceId}`;
    const record = await firstContact(hostName, tracker, 'readInstance', title, { instanceId });
    // An instance that is disks alone was made without libvirt, and can be deleted without it.
    const isDisksAlone = record?.state === 'ready' && record.result?.domain === undefined;
    if (!isDisksAlone) await host.deleteDomain('remove the domain, if there is one', { instanceId });
    await host.deleteFiles('remove the disks and the claims', { instanceId });
    tracker.enter('Deleted');
    return { instanceId, host: hostName, existed: record !== null };
  });
}
