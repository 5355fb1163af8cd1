import { type Claim, isClaim } from '../../domain/claim.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import { listFolder } from '../files/small-file.ts';
import { imageStore } from '../image-store/image-store.ts';
import { promisesByClaim } from '../space/space-ledger.ts';
import { type Inventory, orphanOf, recordUnreadable } from './inventory.ts';

/**
 * Finds claims on cached files, who was to fetch which, and promises of space; and files in the cache that are not
 * ours.
 */
export async function findClaimedState(paths: HostPaths, inventory: Inventory): Promise<void> {
  for (const cacheName of await listFolder(paths.claims)) {
    await recordUnreadable(`${paths.claims}/${cacheName}`, inventory, async () => {
      for (const name of await imageStore.inventory.claimsOn(paths, cacheName)) {
        const claim = parseClaimName(name);
        if (claim !== undefined) orphanOf(inventory, claim).cacheNames.push(cacheName);
      }
    });
  }
  for (const file of await listFolder(paths.fetches)) {
    const cacheName = file.replace(/\.json$/, '');
    await recordUnreadable(`${paths.fetches}/${file}`, inventory, async () => {
      const lease = file.endsWith('.json') ? await imageStore.inventory.leaseOf(paths, cacheName) : undefined;
      if (isClaim(lease?.claim)) orphanOf(inventory, lease.claim).leases.push(cacheName);
    });
  }
  for (const name of await promisesByClaim(paths)) {
    const claim = parseClaimName(name);
    if (claim !== undefined) orphanOf(inventory, claim).promises += 1;
  }
  // What of the cache is ours is swept by itself, with the image cache's own rules.
  await recordUnreadable(paths.cache, inventory, async () => {
    for (const { kind, path } of await imageStore.inventory.files(paths)) {
      if (kind === 'foreign') inventory.foreign.push({ subject: path, reason: 'NoClaim' });
    }
  });
}

/** The claim in a file's name, see `claimName`; undefined for a name that everboot did not give. */
function parseClaimName(name: string): Claim | undefined {
  const [instanceId = '', operationId = ''] = name.split('~');
  const claim = { instanceId, operationId };
  return isClaim(claim) ? claim : undefined;
}
