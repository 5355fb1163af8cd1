import { EverbootFailure } from './failures.ts';
import type { Flavor } from './flavors.ts';
import type { ImageDescription, ImageFormat } from './image.ts';
import type { InstanceSpec } from './spec.ts';

const gibibyte = 2 ** 30;

/** Formats whose file is as large as the disk in it, so that a small flavor is refused before the image is fetched. */
const plainFormats: ReadonlySet<ImageFormat> = new Set(['raw', 'iso', 'ami']);

/**
 * Whether a root disk can hold an image, whose virtual size is known for certain only when it was fetched. Returns what
 * is wrong, for a FlavorDiskTooSmall, or null. A root disk without a size of its own is as large as its image.
 */
export function checkFlavorHoldsImage(rootBytes: number | null, imageBytes: number): string | null {
  if (rootBytes === null || imageBytes <= rootBytes) return null;
  const rootGb = rootBytes / gibibyte;
  return `the flavor’s root disk has ${rootBytes} bytes (${rootGb} GiB), the image needs ${imageBytes} bytes`;
}

/** The same for whoever makes the disk. Throws FlavorDiskTooSmall. */
export function refuseSmallDisk(rootBytes: number | null, imageBytes: number): void {
  const problem = checkFlavorHoldsImage(rootBytes, imageBytes);
  if (problem !== null) throw new EverbootFailure('FlavorDiskTooSmall', problem);
}

/** Nova's check of an image's `min_ram` (_validate_flavor_image_nostatus). Throws FlavorMemoryTooSmall. */
export function refuseSmallMemory(flavor: Flavor, image: ImageDescription): void {
  if (image.minRamMb <= flavor.memoryMb) return;
  const problem = `${image.title} needs ${image.minRamMb} MiB of memory, the flavor ${flavor.name} has ${flavor.memoryMb} MiB`;
  throw new EverbootFailure('FlavorMemoryTooSmall', problem);
}

/**
 * Nova's check of an image's `min_disk` and size against the root disk that it is to become; a disk without a size of
 * its own has room for all. Throws FlavorDiskTooSmall.
 */
export function refuseSmallRoot(flavor: Flavor, image: ImageDescription, rootBytes: number | null): void {
  if (rootBytes === null) return;
  if (image.minDiskGb > flavor.rootGb) {
    const problem = `${image.title} needs a root disk of ${image.minDiskGb} GiB, the flavor ${flavor.name} has ${flavor.rootGb} GiB`;
    throw new EverbootFailure('FlavorDiskTooSmall', problem);
  }
  const fileBytes = plainFormats.has(image.format) ? (image.sizeBytes ?? 0) : 0;
  refuseSmallDisk(rootBytes, fileBytes);
}

/**
 * Mappings share out what the flavor has, and no more: Nova's InvalidBDMEphemeralSize and InvalidBDMSwapSize
 * (_validate_bdm). Throws SpecInvalid.
 */
export function refuseLargeMappings(
  { ephemerals = [], swap }: Pick<InstanceSpec, 'ephemerals' | 'swap'>,
  flavor: Flavor,
): void {
  const problems = [];
  const ephemeralGb = ephemerals.reduce((sum, { sizeGb }) => sum + sizeGb, 0);
  if (ephemeralGb > flavor.ephemeralGb) {
    problems.push(`ephemerals: ${ephemeralGb} GiB together, the flavor ${flavor.name} has ${flavor.ephemeralGb} GiB`);
  }
  if (swap !== undefined && swap.sizeMb > flavor.swapMb) {
    problems.push(`swap.sizeMb: ${swap.sizeMb} MiB, the flavor ${flavor.name} has ${flavor.swapMb} MiB`);
  }
  if (problems.length === 0) return;
  throw new EverbootFailure('SpecInvalid', 'the spec asks for larger disks than its flavor has', { problems });
}
