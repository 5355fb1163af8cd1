import type { Claim } from '../domain/claim.ts';
import { withInstanceLock } from '../hypervisor/instance/instance-lock.ts';
import { removeInstance } from '../hypervisor/instance/remove-instance.ts';
import type { Host } from './host.ts';
import { withWorkControl } from './work-control.ts';

/** Takes back everything that the operation made for its instance but the domain. */
export async function releaseInstance({ paths }: Host, { claim }: { readonly claim: Claim }): Promise<void> {
  await withWorkControl(({ signal }) =>
    withInstanceLock(paths, claim.instanceId, { shared: false, signal }, () => removeInstance(paths, claim)),
  );
}
