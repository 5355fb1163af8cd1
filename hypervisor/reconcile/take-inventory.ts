import { findClaimedState } from './claimed-state.ts';
import { findDomains } from './domains.ts';
import { findInstanceFolders } from './instance-folders.ts';
import type { Inventory, InventoryPlace } from './inventory.ts';
import { findStoredDisks } from './stored-disks.ts';

/**
 * Finds it all. Changes nothing. What does not answer, such as libvirt, is noted and keeps nothing else from being
 * found.
 */
export async function takeInventory(place: InventoryPlace): Promise<Inventory> {
  const inventory: Inventory = {
    records: new Map(),
    unreadable: new Set<string>(),
    orphans: new Map(),
    temporaryFiles: [],
    foreign: [],
    notes: [],
    libvirtAnswered: false,
  };
  // Folders first: their records say which volume groups and pools the others are in.
  await findInstanceFolders(place.paths, inventory);
  await findClaimedState(place.paths, inventory);
  await findDomains(place, inventory);
  await findStoredDisks(place, inventory);
  return inventory;
}
