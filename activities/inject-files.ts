import type { InjectionOrder, InjectionReport } from '../domain/host-activities.ts';
import { injectIntoDisk } from '../hypervisor/injection/inject-into-disk.ts';
import { injectionContents } from '../hypervisor/injection/injection-contents.ts';
import { changingRootDisk } from './changing-root-disk.ts';
import type { Host } from './host.ts';
import { openSecretsOf } from './open-secrets.ts';

/**
 * Writes what the guest is told into its root disk: the injected files in plain and the hash of the password, which whoever
 * reads that disk, or a container's root made from it, finds there.
 */
export async function injectFiles(host: Host, order: InjectionOrder): Promise<InjectionReport> {
  const { claim, spec, place, title } = order;
  const { libvirt } = host.configuration;
  return await changingRootDisk(host, order, async (disk, control) => {
    const secrets = await openSecretsOf(host, spec.secrets, claim.instanceId);
    return await injectIntoDisk({ disk, place, title }, injectionContents(spec, secrets, libvirt), control);
  });
}
