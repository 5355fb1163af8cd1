import type { PlannedVolume } from '../../domain/disk-plan.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { refuseDiskOfInstance, refuseForeignVolume, type VolumeSettings } from '../../domain/volume-rules.ts';
import { inspectBlockDevice } from './block-device.ts';

/**
 * Checks a volume on the host that is to attach it: that guests may have it, and for a block device that it is one,
 * that the host does not use it itself, and that it can be written to where the guest is to. Servers are not asked:
 * what they have to say, QEMU hears when the guest starts.
 *
 * Throws HostUnsuitable, and FlavorDiskTooSmall for one that the guest boots from and that is smaller than its image's
 * `min_disk` (Nova's VolumeSmallerThanMinDisk).
 */
export async function checkVolume(
  { source, readOnly, boot }: PlannedVolume,
  { settings, minDiskGb }: { readonly settings: VolumeSettings; readonly minDiskGb: number },
): Promise<void> {
  refuseForeignVolume(source, settings);
  if (!('block' in source)) return;
  const { block } = source;
  const { sizeBytes, isReadOnly, mapperName } = await inspectBlockDevice(block);
  if (mapperName !== undefined) refuseDiskOfInstance(mapperName, `${block} (${mapperName})`);
  if (isReadOnly && !readOnly) {
    throw new EverbootFailure('HostUnsuitable', `the block device ${block} can only be read`, {
      remedy: 'Set readOnly: true for it in the spec, or make the device writable on the host.',
    });
  }
  if (boot && sizeBytes < minDiskGb * 2 ** 30) {
    const problem = `the volume ${block} has ${sizeBytes} bytes, its image needs a disk of ${minDiskGb} GiB`;
    throw new EverbootFailure('FlavorDiskTooSmall', problem, { remedy: 'Boot from a larger volume.' });
  }
}
