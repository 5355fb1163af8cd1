import type { HostSettings } from './configuration.ts';
import type { VolumeSource } from './disk-plan.ts';
import { EverbootFailure } from './failures.ts';

export type VolumeSettings = Pick<HostSettings, 'volumeDeviceRoots' | 'volumeServers' | 'volumeRbdPools'>;

/**
 * Nova's names of an instance's own disks outside its directory: `<instance id>_disk`, `<instance id>_disk.swap` … And
 * what instances in Ceph are cloned from.
 */
const ownDisk = /(?:^|\/)everboot_base_|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}_(?:disk|kernel|ramdisk)/;

/**
 * Whether a guest of this host may have a volume that a spec names. Everything is forbidden that the host's
 * configuration does not name: whoever writes specs could otherwise read the host's own disks, and reach every server
 * that it reaches. Nor may it be a disk that was made for an instance. Throws HostUnsuitable.
 */
export function refuseForeignVolume(source: VolumeSource, settings: VolumeSettings): void {
  if ('block' in source) {
    const { block } = source;
    const isInside = settings.volumeDeviceRoots.some((root) => block.startsWith(`${root}/`));
    if (!isInside) throw refusal(`the block device ${block}`, 'volume_device_roots', 'its folder');
    refuseDiskOfInstance(block, block);
  } else if ('nbd' in source) {
    const { host } = source.nbd;
    const isKnown = settings.volumeServers.some((server) => server.toLowerCase() === host.toLowerCase());
    if (!isKnown) throw refusal(`the NBD server ${host}`, 'volume_servers', 'it');
  } else {
    const { pool, image } = source.rbd;
    if (!settings.volumeRbdPools.includes(pool)) throw refusal(`the Ceph pool ${pool}`, 'volume_rbd_pools', 'it');
    refuseDiskOfInstance(image, `the image ${pool}/${image}`);
  }
}

/** Throws HostUnsuitable for the name of a disk that was made for an instance. */
export function refuseDiskOfInstance(name: string, what: string): void {
  if (!ownDisk.test(name)) return;
  throw new EverbootFailure('HostUnsuitable', `${what} is a disk that was made for instances, and no volume`, {
    remedy: 'Name a volume that no instance was made on.',
  });
}

function refusal(what: string, option: string, added: string): EverbootFailure {
  return new EverbootFailure('HostUnsuitable', `${what} is not in the host’s [host] ${option}, so no guest gets it`, {
    remedy: `Add ${added} to [host] ${option} on the host if every author of specs may use what is there.`,
  });
}
