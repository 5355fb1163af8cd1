import { stat } from 'node:fs/promises';
import type { LibvirtSettings } from '../../domain/configuration.ts';
import type { InstanceDisk, PlannedBlankDisk, PlannedRootDisk } from '../../domain/disk-plan.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { refuseSmallDisk } from '../../domain/flavor-limits.ts';
import type { BaseImage } from '../../domain/image.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { formatterOf } from '../disks/formatter.ts';
import { baseOf } from '../disks/root-disk.ts';
import { zeroDevice } from '../files/overwrite-device.ts';
import { devicePath } from '../programs/lvm.ts';
import type { LogicalVolume } from '../programs/lvm-report.ts';
import { convertIntoDevice } from '../programs/qemu-img.ts';
import type { BackendContext, DiskBackend } from './disk-backend.ts';
import { removeOwnedVolumes } from './lvm-remove.ts';
import { wholeExtents } from './lvm-space.ts';
import { findVolume, growVolume, publishVolume } from './lvm-volume.ts';

/** Zeroing begins a little before an image's end, at a boundary that every disk can write at. */
const zeroAlignmentBytes = 2 ** 20;

/**
 * Logical volumes `<instance id>_<disk>` in the host's volume group, as Nova's `lvm`: with extents of their own, or
 * thin ones in the group's pool. The image is converted straight into its volume. They take nothing of the file system
 * of the instances, and outlive the directory, so they are removed by their claim.
 */
export function lvmBackend(settings: LibvirtSettings): DiskBackend {
  return {
    rootBytes: async () => 0,
    makeRoot: (disk, base, context, control) => makeRoot(settings, disk, baseOf(disk, base), context, control),
    blankBytes: () => 0,
    makeBlank: (disk, context, control) => makeBlank(settings, disk, context, control),
    removeDisks: (owner, control) => removeOwnedVolumes(settings, owner, control),
  };
}

async function makeRoot(
  settings: LibvirtSettings,
  disk: PlannedRootDisk,
  base: BaseImage,
  context: BackendContext,
  control: WorkControl,
): Promise<InstanceDisk> {
  refuseSmallDisk(disk.sizeBytes, base.virtualSizeBytes);
  const sizeBytes = disk.sizeBytes ?? base.virtualSizeBytes;
  const { group, found } = await findVolume(disk.name, settings, context, control);
  if (found !== undefined) return madeDisk(disk.name, await growVolume(found, { sizeBytes, group }, context, control));
  // A compressed image takes more in the volume than in its file.
  const contentBytes = base.format === 'qcow2' ? base.virtualSizeBytes : (await stat(base.path)).blocks * 512;
  const order = { diskName: disk.name, sizeBytes, contentBytes };
  const volume = await publishVolume(order, group, settings, context, control, (made) =>
    writeImage(made, base, context, control),
  );
  return madeDisk(disk.name, volume);
}

/**
 * Fills a volume with an image and then with zeros. Its extents may have been another tenant's, so every byte of them
 * is written, where the image has holes and beyond its end too. The end goes first: an image may end within a sector,
 * which is then written whole with what follows it.
 */
async function writeImage(
  volume: LogicalVolume,
  { path: source, format: sourceFormat, virtualSizeBytes }: BaseImage,
  { heldLocks }: BackendContext,
  control: WorkControl,
): Promise<void> {
  const path = devicePath(volume);
  const isZero = volume.thinPool !== null;
  if (!isZero) {
    const offsetBytes = Math.floor(virtualSizeBytes / zeroAlignmentBytes) * zeroAlignmentBytes;
    await zeroDevice({ path, offsetBytes, lengthBytes: volume.sizeBytes - offsetBytes, heldLocks }, control);
  }
  await convertIntoDevice({ source, sourceFormat, destination: path, virtualSizeBytes, isZero, heldLocks }, control);
}

async function makeBlank(
  settings: LibvirtSettings,
  disk: PlannedBlankDisk,
  context: BackendContext,
  control: WorkControl,
): Promise<InstanceDisk> {
  const { heldLocks } = context;
  const format = formatterOf(disk, control, context);
  const { group, found } = await findVolume(disk.name, settings, context, control);
  const sizeBytes = wholeExtents(group, disk.sizeBytes);
  if (found !== undefined && found.sizeBytes !== sizeBytes) {
    const problem = `${devicePath(found)} is there already, but has ${found.sizeBytes} bytes, expected ${sizeBytes}`;
    throw new EverbootFailure('InstanceExists', problem);
  }
  if (found !== undefined) return madeDisk(disk.name, found);
  const order = { diskName: disk.name, sizeBytes, contentBytes: 0 };
  const volume = await publishVolume(order, group, settings, context, control, async (made) => {
    const path = devicePath(made);
    if (made.thinPool === null) await zeroDevice({ path, offsetBytes: 0, lengthBytes: sizeBytes, heldLocks }, control);
    await format({ path, sizeBytes, heldLocks });
  });
  return madeDisk(disk.name, volume);
}

/** The volume as an instance's disk, with its real size: whole extents. */
function madeDisk(name: string, volume: LogicalVolume): InstanceDisk {
  return { name, path: devicePath(volume), format: 'raw', virtualSizeBytes: volume.sizeBytes };
}
