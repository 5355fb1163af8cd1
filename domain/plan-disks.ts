import type { ConfigDriveSettings, LibvirtSettings } from './configuration.ts';
import { deviceBuses, deviceNaming } from './disk-devices.ts';
import type { DiskFormat, DiskPlan, DiskStorage, PlannedBootFile, PlannedRootDisk } from './disk-plan.ts';
import { EverbootFailure } from './failures.ts';
import type { Flavor } from './flavors.ts';
import type { ImageDescription, ImageFormat } from './image.ts';
import { ephemeralFileSystem, parseOsType } from './os-types.ts';
import type { InstanceSpec } from './spec.ts';

const mebibyte = 2 ** 20;
const gibibyte = 2 ** 30;

/** `.rescue` files are made beside the instance's own, to repair it from another image. */
export type FileSuffix = '' | '.rescue';

export interface DiskPlanInput {
  readonly spec: Pick<InstanceSpec, 'configDrive'>;
  readonly flavor: Flavor;
  /** Null: no root disk is made. */
  readonly rootImage: ImageDescription | null;
  readonly settings: Pick<LibvirtSettings, 'imagesType' | 'useCowImages'> &
    Pick<ConfigDriveSettings, 'forceConfigDrive' | 'configDriveFormat'>;
  readonly hasKernel: boolean;
  readonly hasRamdisk: boolean;
  /** The spec's os type, else the image's. */
  readonly osType: string;
  readonly suffix: FileSuffix;
}

/**
 * Decides which files an instance gets, how large they are and as which devices the guest sees them. The rules are
 * those of Nova's `_create_image` and `blockinfo`.
 *
 * Throws SpecInvalid (unknown os type, ramdisk without kernel), FlavorDiskTooSmall, FlavorMemoryTooSmall and
 * HostUnsuitable (a backend or a bus that the host has not).
 */
export function planDisks(input: DiskPlanInput): DiskPlan {
  const { flavor, rootImage, settings, suffix } = input;
  const fileSystem = ephemeralFileSystem(parseOsType(input.osType));
  const kept = diskKeeping(settings);
  if (rootImage !== null) refuseSmallFlavor(flavor, rootImage, suffix);

  const buses = deviceBuses(rootImage?.properties ?? {});
  const nameDevice = deviceNaming();
  const diskDevice = () => ({ bus: buses.disk, device: nameDevice(buses.disk) });
  const cdromDevice = () => ({ bus: buses.cdrom, device: nameDevice(buses.cdrom) });

  // The order in which names are given out decides them, so it is Nova's. The first is the root's even where another
  // volume takes its place.
  const isIso = rootImage?.format === 'iso';
  const rootDevice = isIso ? { ...cdromDevice(), deviceType: 'cdrom' as const } : diskDevice();
  const sizeBytes = rootSizeBytes(flavor, suffix);
  const root: PlannedRootDisk = { kind: 'root', name: `disk${suffix}`, ...kept, ...rootDevice, sizeBytes };

  // A rescue attaches the instance's own root disk second, and leaves its other disks alone.
  const isRescue = suffix === '.rescue';
  if (isRescue) diskDevice();
  const ephemeralBytes = isRescue ? 0 : flavor.ephemeralGb * gibibyte;
  const ephemeral = { kind: 'ephemeral', name: 'disk.local', ...kept, fileSystem, label: 'ephemeral0' } as const;
  const ephemerals = ephemeralBytes > 0 ? [{ ...ephemeral, ...diskDevice(), sizeBytes: ephemeralBytes }] : [];
  const swapBytes = isRescue ? 0 : flavor.swapMb * mebibyte;
  const swap = { kind: 'swap', name: 'disk.swap', ...kept, sizeBytes: swapBytes } as const;

  return {
    root: rootImage === null ? null : root,
    ephemerals,
    swap: swapBytes > 0 ? { ...swap, ...diskDevice() } : null,
    config: wantsConfigDrive(input)
      ? {
          kind: 'config',
          name: `disk.config${suffix}`,
          format: 'raw',
          ...(settings.configDriveFormat === 'iso9660'
            ? { deviceType: 'cdrom', ...cdromDevice() }
            : { deviceType: 'disk', ...diskDevice() }),
        }
      : null,
    bootFiles: plannedBootFiles(input),
  };
}

/**
 * Whether a root disk can hold an image, whose virtual size is known for certain only when it was fetched. Returns what
 * is wrong, for a FlavorDiskTooSmall, or null. A root disk without a size of its own is as large as its image.
 */
export function checkFlavorHoldsImage(rootBytes: number | null, imageBytes: number): string | null {
  if (rootBytes === null || imageBytes <= rootBytes) return null;
  const rootGb = rootBytes / gibibyte;
  return `the flavor’s root disk has ${rootBytes} bytes (${rootGb} GiB), the image needs ${imageBytes} bytes`;
}

/** How the host keeps disks: `default` leaves it to use_cow_images, `flat` is newer Nova's word for `raw`. */
function diskKeeping({ imagesType, useCowImages }: DiskPlanInput['settings']): {
  readonly format: DiskFormat;
  readonly storage?: DiskStorage;
} {
  if (imagesType === 'lvm' || imagesType === 'rbd') return { format: 'raw', storage: imagesType };
  const isQcow2 = imagesType === 'qcow2' || (imagesType === 'default' && useCowImages);
  return { format: isQcow2 ? 'qcow2' : 'raw' };
}

/** Null: as large as the image. A rescue disk is, whatever the flavor. */
function rootSizeBytes({ rootGb }: Flavor, suffix: FileSuffix): number | null {
  return rootGb === 0 || suffix === '.rescue' ? null : rootGb * gibibyte;
}

/** Formats whose file is as large as the disk in it, so that a small flavor is refused before the image is fetched. */
const plainFormats: ReadonlySet<ImageFormat> = new Set(['raw', 'iso', 'ami']);

function refuseSmallFlavor(flavor: Flavor, image: ImageDescription, suffix: FileSuffix): void {
  if (image.minRamMb > flavor.memoryMb) {
    const problem = `${image.title} needs ${image.minRamMb} MiB of memory, the flavor ${flavor.name} has ${flavor.memoryMb} MiB`;
    throw new EverbootFailure('FlavorMemoryTooSmall', problem);
  }
  const rootBytes = rootSizeBytes(flavor, suffix);
  if (rootBytes === null) return;
  if (image.minDiskGb > flavor.rootGb) {
    const problem = `${image.title} needs a root disk of ${image.minDiskGb} GiB, the flavor ${flavor.name} has ${flavor.rootGb} GiB`;
    throw new EverbootFailure('FlavorDiskTooSmall', problem);
  }
  const fileBytes = plainFormats.has(image.format) ? (image.sizeBytes ?? 0) : 0;
  const problem = checkFlavorHoldsImage(rootBytes, fileBytes);
  if (problem !== null) throw new EverbootFailure('FlavorDiskTooSmall', problem);
}

/** Nova's `configdrive.required_by`. */
function wantsConfigDrive({ spec, settings, rootImage }: DiskPlanInput): boolean {
  return spec.configDrive || settings.forceConfigDrive || rootImage?.properties.img_config_drive === 'mandatory';
}

function plannedBootFiles({ hasKernel, hasRamdisk, suffix }: DiskPlanInput): PlannedBootFile[] {
  if (hasRamdisk && !hasKernel) {
    throw new EverbootFailure('SpecInvalid', 'a ramdisk is given without the kernel that would load it');
  }
  const kinds = [...(hasKernel ? (['kernel'] as const) : []), ...(hasRamdisk ? (['ramdisk'] as const) : [])];
  return kinds.map((kind) => ({ kind, name: `${kind}${suffix}` }));
}
