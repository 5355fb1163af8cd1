import type { Claim } from '../domain/claim.ts';
import { settingsOfInstance } from '../domain/outside-storage.ts';
import { removeOutsideDisks } from '../hypervisor/backends/backend-of.ts';
import { withInstanceLock } from '../hypervisor/instance/instance-lock.ts';
import { readInstanceRecord } from '../hypervisor/instance/instance-record.ts';
import { removeInstance } from '../hypervisor/instance/remove-instance.ts';
import type { Host } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';

/** Takes back everything that the operation made for its instance but the domain. */
export async function releaseInstance(
  { paths, configuration }: Host,
  { claim }: { readonly claim: Claim },
): Promise<void> {
  const clearingSlots = configuration.host.maxConcurrentDiskOps;
  await withWorkControl((control) =>
    withInstanceLock(paths, claim.instanceId, { shared: false, signal: control.signal }, async ({ descriptor }) => {
      const removing = { ...control, heldLocks: [descriptor], clearingSlots };
      // The record names the places of the disks, so it outlives them.
      const settings = settingsOfInstance(configuration.libvirt, await readInstanceRecord(paths, claim.instanceId));
      await removeOutsideDisks(settings, claim, removing);
      await removeInstance(paths, claim, removing);
    }),
  );
}
