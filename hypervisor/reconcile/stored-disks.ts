import { isClaim } from '../../domain/claim.ts';
import { isInstanceId } from '../../domain/host-paths.ts';
import { claimInTags } from '../backends/lvm-claim.ts';
import { claimInTemporaryName } from '../backends/rbd-images.ts';
import { cephCluster } from '../programs/ceph.ts';
import { readVolumeGroup } from '../programs/lvm.ts';
import { listRbdImages } from '../programs/rbd.ts';
import { type Inventory, type InventoryPlace, orphanOf, recordUnreadable } from './inventory.ts';

/** A name that Nova and everboot give to a disk outside of an instance's directory: `<instance id>_disk`. */
const diskName = /^([0-9a-f-]{36})_/;

/** Finds disks in the volume groups and pools that this host makes disks in, or that its instances' records name. */
export async function findStoredDisks(place: InventoryPlace, inventory: Inventory): Promise<void> {
  const { imagesVolumeGroup, imagesRbdPool } = place.libvirt;
  const storages = [...inventory.records.values()].flatMap(({ storage }) => storage ?? []);
  const groups = storages.flatMap((storage) => (storage.kind === 'lvm' ? [storage.volumeGroup] : []));
  const pools = storages.flatMap((storage) => (storage.kind === 'rbd' ? [storage.pool] : []));
  for (const group of new Set([...(imagesVolumeGroup === null ? [] : [imagesVolumeGroup]), ...groups])) {
    await recordUnreadable(`the volume group ${group}`, inventory, () => findVolumes(place, group, inventory));
  }
  for (const pool of new Set([...(imagesRbdPool === null ? [] : [imagesRbdPool]), ...pools])) {
    await recordUnreadable(`the Ceph pool ${pool}`, inventory, () => findImages(place, pool, inventory));
  }
}

async function findVolumes({ signal }: InventoryPlace, group: string, inventory: Inventory): Promise<void> {
  const { volumes } = await readVolumeGroup(group, { signal, heldLocks: [] });
  for (const { name, tags } of volumes) {
    const claim = claimInTags(name, tags);
    if (isClaim(claim)) orphanOf(inventory, claim).volumes.push(`${group}/${name}`);
    else if (isInstanceId(diskName.exec(name)?.[1] ?? '')) {
      inventory.foreign.push({ subject: `the logical volume ${group}/${name}`, reason: 'NoClaim' });
    }
  }
}

/**
 * A pool is other hosts', too, and asking each of its images for its claim would cost a program each, so only names are
 * read: partial images carry their claim in them, and one that is whole is known by its instance's directory, which
 * outlives it.
 */
async function findImages({ libvirt, signal }: InventoryPlace, pool: string, inventory: Inventory): Promise<void> {
  for (const image of await listRbdImages(cephCluster(libvirt), pool, { signal })) {
    const claim = claimInTemporaryName(image) ?? inventory.records.get(diskName.exec(image)?.[1] ?? '')?.claim;
    if (isClaim(claim)) orphanOf(inventory, claim).images.push(`${pool}/${image}`);
  }
}
