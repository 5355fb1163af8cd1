import { EverbootFailure } from '../domain/failures.ts';
import { instanceDirectory } from '../domain/host-paths.ts';
import type { InstanceRecord } from '../domain/instance-record.ts';
import { settingsOfInstance } from '../domain/outside-storage.ts';
import { removeOutsideDisks } from '../hypervisor/backends/backend-of.ts';
import { isThere } from '../hypervisor/files/small-file.ts';
import { imageStore } from '../hypervisor/image-store/image-store.ts';
import { withInstanceLock } from '../hypervisor/instance/instance-lock.ts';
import { readInstanceRecord } from '../hypervisor/instance/instance-record.ts';
import { removeDoomed, removeInstance } from '../hypervisor/instance/remove-instance.ts';
import { removeDomainOfInstance } from '../hypervisor/libvirt/libvirt.ts';
import { returnSpaceOfInstance } from '../hypervisor/space/space-ledger.ts';
import type { Host } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';
import { fenceRun } from './fencing/fence-run.ts';

interface Order {
  readonly instanceId: string;
}

/**
 * Reads what the host knows of an instance; null when nothing is there. Throws NotManaged for a directory that
 * carries no claim: somebody else's instance is never touched.
 */
export async function readInstance({ paths }: Host, { instanceId }: Order): Promise<InstanceRecord | null> {
  const directory = instanceDirectory(paths, instanceId);
  const record = await readInstanceRecord(paths, instanceId);
  if (record !== undefined) return record;
  if (!(await isThere(directory))) return null;
  throw new EverbootFailure('NotManaged', `${directory} carries no claim of everboot’s, so it is not touched`);
}

/**
 * Stops and forgets the instance's domain, whichever of its operations defined it. Absence is success. Throws
 * OperationSuperseded where the deletion has ended.
 */
export async function deleteDomain({ paths, configuration }: Host, { instanceId }: Order): Promise<void> {
  await withWorkControl(({ signal }) =>
    withInstanceLock(paths, instanceId, { shared: false, signal }, async () => {
      await fenceRun();
      await removeDomainOfInstance(configuration.libvirt.connectionUri, instanceId);
    }),
  );
}

/**
 * Removes the instance's disks, its files and its claims, whichever of its operations made them. Absence is success.
 * Throws OperationSuperseded where the deletion has ended.
 */
export async function deleteFiles({ paths, configuration }: Host, { instanceId }: Order): Promise<void> {
  await withWorkControl((control) =>
    withInstanceLock(paths, instanceId, { shared: false, signal: control.signal }, async ({ descriptor }) => {
      await fenceRun();
      const removing = { ...control, heldLocks: [descriptor], clearingSlots: configuration.host.maxConcurrentDiskOps };
      // The record names the places of the disks, so it outlives them.
      const record = await readInstanceRecord(paths, instanceId);
      const settings = settingsOfInstance(configuration.libvirt, record);
      await removeOutsideDisks(settings, { instanceId, operationId: null }, removing);
      const claims = (await imageStore.inventory.claimedBy(paths, instanceId)).map(({ claim }) => claim.operationId);
      const operations = new Set([...(record === undefined ? [] : [record.claim.operationId]), ...claims]);
      for (const operationId of operations) await removeInstance(paths, { instanceId, operationId }, removing);
      // A crash may have left things without a record and without a claim.
      await removeDoomed(paths, instanceId, removing);
      await imageStore.dropEmptyClaims(paths);
      await returnSpaceOfInstance(paths, instanceId);
    }),
  );
}
