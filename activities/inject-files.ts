import type { InjectionOrder, InjectionReport } from '../domain/host-activities.ts';
import { injectIntoDisk } from '../hypervisor/injection/inject-into-disk.ts';
import { injectionContents } from '../hypervisor/injection/injection-contents.ts';
import { openSecrets, readPrivateKeys } from '../hypervisor/secret-keys.ts';
import { changingRootDisk } from './changing-root-disk.ts';
import type { Host } from './host.ts';

/** Writes what the guest is told into its root disk. The sealed parts of the spec are opened here, and go nowhere else. */
export async function injectFiles(host: Host, order: InjectionOrder): Promise<InjectionReport> {
  const { claim, spec, place, title } = order;
  const { libvirt, secrets } = host.configuration;
  return await changingRootDisk(host, order, async (disk, control) => {
    const isSealed = Object.keys(spec.secrets).length > 0;
    // A host without a key still boots what has no secrets.
    const keys = isSealed ? await readPrivateKeys(secrets.privateKeyFile) : [];
    const opened = await openSecrets(spec.secrets, claim.instanceId, keys);
    return await injectIntoDisk({ disk, place, title }, injectionContents(spec, opened, libvirt), control);
  });
}
