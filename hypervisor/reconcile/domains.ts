import { isClaim } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import { domainsOfHost, type HostDomain } from '../libvirt/libvirt.ts';
import { readDomainXml } from '../libvirt/read-domain-xml.ts';
import { type Inventory, type InventoryPlace, orphanOf, recordUnreadable } from './inventory.ts';

/**
 * Finds the domains that carry claims and whose files are in this host's folder: several workers may share a libvirt,
 * as on a test machine, and each handles its own.
 */
export async function findDomains({ paths, libvirt }: InventoryPlace, inventory: Inventory): Promise<void> {
  let domains: readonly HostDomain[];
  try {
    domains = await domainsOfHost(libvirt.connectionUri);
  } catch (error) {
    if (!(error instanceof EverbootFailure)) throw error;
    inventory.notes.push(`no domain was looked at: ${error.message}`);
    return;
  }
  inventory.libvirtAnswered = true;
  for (const { id, name, xml, state } of domains) {
    const subject = `the domain ${name.slice(0, 100)} (${id})`;
    await recordUnreadable(subject, inventory, async () => {
      const { claim, paths: named } = readDomainXml(xml);
      if (!isClaim(claim) || claim.instanceId !== id) inventory.foreign.push({ subject, reason: 'NoClaim' });
      else if (!hasFilesHere(paths, id, named)) inventory.foreign.push({ subject, reason: 'OtherFolder' });
      else orphanOf(inventory, claim).domain = state;
    });
  }
}

/** Every domain of ours names its console log, which is in its instance's directory. */
function hasFilesHere({ instances }: HostPaths, instanceId: string, named: readonly string[]): boolean {
  return named.some((path) => path.startsWith(`${instances}/${instanceId}/`));
}
