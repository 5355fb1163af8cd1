import type { Claim } from '../domain/claim.ts';
import { removeOutsideDisks } from '../hypervisor/backends/backend-of.ts';
import { withInstanceLock } from '../hypervisor/instance/instance-lock.ts';
import { removeInstance } from '../hypervisor/instance/remove-instance.ts';
import type { Host } from './host.ts';
import { withWorkControl } from './work-control.ts';

/** Takes back everything that the operation made for its instance but the domain. */
export async function releaseInstance(
  { paths, configuration }: Host,
  { claim }: { readonly claim: Claim },
): Promise<void> {
  await withWorkControl((control) =>
    withInstanceLock(paths, claim.instanceId, { shared: false, signal: control.signal }, async ({ descriptor }) => {
      const removing = { ...control, heldLocks: [descriptor] };
      await removeOutsideDisks(configuration.libvirt, claim, removing);
      await removeInstance(paths, claim, removing);
    }),
  );
}
