import type { InjectionOrder, InjectionReport } from '../domain/host-activities.ts';
import { injectIntoDisk } from '../hypervisor/injection/inject-into-disk.ts';
import { injectionContents } from '../hypervisor/injection/injection-contents.ts';
import type { Host } from './context/host.ts';
import { openSecretsOf } from './context/open-secrets.ts';
import { changingRootDisk } from './disks/changing-root-disk.ts';

/**
 * Injects files, in plain, and the hash of the password into the root disk, where whoever reads that disk, or a
 * container's root made from it, finds them.
 */
export async function injectFiles(host: Host, order: InjectionOrder): Promise<InjectionReport> {
  const { claim, spec, place, title } = order;
  const { libvirt } = host.configuration;
  return await changingRootDisk(host, order, async (disk, control) => {
    const secrets = await openSecretsOf(host, spec.secrets, claim.instanceId);
    return await injectIntoDisk({ disk, place, title }, injectionContents(spec, secrets, libvirt), control);
  });
}
