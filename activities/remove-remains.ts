import type { Claim } from '../domain/claim.ts';
import { claimedBy } from '../hypervisor/image-cache/claims.ts';
import { readInstanceRecord } from '../hypervisor/instance/instance-record.ts';
import { domainClaim } from '../hypervisor/libvirt.ts';
import { removeDomain } from './define-domain.ts';
import type { Host } from './host.ts';
import { releaseInstance } from './release-instance.ts';
import { runningOperation } from './still-wanted.ts';

/**
 * Removes what an operation left on this host when the host was given up, its domain first. Without an operation's id it
 * is a deletion that was given up: then whatever is there of the instance goes, but what an operation that runs now made.
 * Absence is success.
 */
export async function removeRemains(
  host: Host,
  { instanceId, operationId }: { readonly instanceId: string; readonly operationId: string | null },
): Promise<void> {
  const claims = operationId === null ? await claimsOfPast(host, instanceId) : [{ instanceId, operationId }];
  for (const claim of claims) {
    await removeDomain(host, { claim });
    await releaseInstance(host, { claim });
  }
}

async function claimsOfPast({ paths, configuration }: Host, instanceId: string): Promise<Claim[]> {
  const record = await readInstanceRecord(paths, instanceId);
  const domain = await domainClaim(configuration.libvirt.connectionUri, instanceId);
  const cached = (await claimedBy(paths, instanceId)).map(({ claim }) => claim);
  const present = await runningOperation(instanceId);
  const all = [...(record === undefined ? [] : [record.claim]), ...(domain === null ? [] : [domain]), ...cached];
  const operations = new Set(all.filter((claim) => claim.instanceId === instanceId).map((claim) => claim.operationId));
  if (present?.operationId !== undefined) operations.delete(present.operationId);
  return [...operations].map((operationId) => ({ instanceId, operationId }));
}
