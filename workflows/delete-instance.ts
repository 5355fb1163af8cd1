import type { DeleteInstanceInput, DeleteInstanceResult } from '../domain/operations.ts';
import { firstContact, stepsOn } from './host-steps.ts';
import { trackOperation } from './operation-tracker.ts';
import { undoOnFailure } from './undo-on-failure.ts';
import { watchingHost } from './watch-host.ts';

/**
 * Deletes an instance: its domain first, so that nothing uses the disks, then its files and its claims on the cache.
 * Deleting goes on until it is done; what is not there counts as deleted.
 */
export async function deleteInstance({
  host: hostName,
  instanceId,
}: DeleteInstanceInput): Promise<DeleteInstanceResult> {
  const tracker = trackOperation('delete', hostName, 'Deleting');
  const host = stepsOn(hostName, tracker);
  return await watchingHost(hostName, tracker, () =>
    // Nothing is registered: a deletion that was cancelled half-way has nothing to give back, and can be asked for again.
    undoOnFailure(tracker, async () => {
      const record = await firstContact(hostName, tracker, 'readInstance', `read the record of ${instanceId}`, {
        instanceId,
      });
      // An instance that is disks alone was made without libvirt, and can be deleted without it.
      const isDisksAlone = record?.state === 'ready' && record.result?.domain === undefined;
      if (!isDisksAlone) await host.deleteDomain('remove the domain, if there is one', { instanceId });
      await host.deleteFiles('remove the disks and the claims', { instanceId });
      tracker.enter('Deleted');
      return { instanceId, host: hostName, existed: record !== null };
    }),
  );
}
