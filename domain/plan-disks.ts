import type { ConfigDriveSettings, LibvirtSettings } from './configuration.ts';
import { deviceBuses } from './disk-devices.ts';
import type {
  DiskFormat,
  DiskPlan,
  DiskStorage,
  PlannedBootFile,
  PlannedConfigDrive,
  PlannedEphemeralDisk,
  PlannedRootDisk,
  PlannedSwapDisk,
  PlannedVolume,
} from './disk-plan.ts';
import { EverbootFailure } from './failures.ts';
import { fileSystemProblem } from './file-systems.ts';
import { refuseLargeMappings, refuseSmallMemory, refuseSmallRoot } from './flavor-limits.ts';
import type { Flavor } from './flavors.ts';
import type { ImageDescription } from './image.ts';
import { ownMkfsCommand } from './mkfs-commands.ts';
import { ephemeralFileSystem, type OsType, parseOsType } from './os-types.ts';
import { type DeviceMap, type DeviceMappings, mapDevices, mapRescueDevices } from './plan-devices.ts';
import type { InstanceSpec } from './spec.ts';

const mebibyte = 2 ** 20;
const gibibyte = 2 ** 30;

/** `.rescue` files are made beside the instance's own, to repair it from another image. */
export type FileSuffix = '' | '.rescue';

export interface DiskPlanInput {
  readonly spec: Pick<InstanceSpec, 'configDrive'> & DeviceMappings;
  readonly flavor: Flavor;
  /** Null: no root disk is made. Where the guest boots from a volume, only its properties count. */
  readonly rootImage: ImageDescription | null;
  readonly settings: Pick<
    LibvirtSettings,
    'imagesType' | 'useCowImages' | 'virtType' | 'defaultEphemeralFormat' | 'virtMkfs'
  > &
    Pick<ConfigDriveSettings, 'forceConfigDrive' | 'configDriveFormat'>;
  readonly hasKernel: boolean;
  readonly hasRamdisk: boolean;
  /** The spec's os type, else the image's. */
  readonly osType: string;
  readonly suffix: FileSuffix;
}

/**
 * Decides which files an instance gets, how large they are and as which devices the guest sees them and its volumes.
 * The rules are those of Nova's `_create_image` and `blockinfo`. A rescue makes a root disk and a config drive of its
 * own, and leaves all other disks alone.
 *
 * Throws SpecInvalid (unknown os type, ramdisk without kernel, disks larger than the flavor's, one device for two),
 * FlavorDiskTooSmall, FlavorMemoryTooSmall and HostUnsuitable (a bus that the host does not have, an unknown image
 * property).
 */
export function planDisks(input: DiskPlanInput): DiskPlan {
  const { spec, flavor, rootImage, settings, suffix } = input;
  const osType = parseOsType(input.osType);
  const isRescue = suffix === '.rescue';
  const bootsFromVolume = !isRescue && spec.volumes?.some(({ boot }) => boot === true) === true;
  const rootBytes = flavor.rootGb === 0 || isRescue ? null : flavor.rootGb * gibibyte;
  refuseLargeMappings(spec, flavor);
  if (rootImage !== null) refuseSmallMemory(flavor, rootImage);
  if (rootImage !== null && !bootsFromVolume) refuseSmallRoot(flavor, rootImage, rootBytes);

  const buses = deviceBuses(rootImage?.properties ?? {}, settings.virtType);
  const configDrive = configDriveType(input);
  const hasIsoImage = rootImage?.format === 'iso';
  const devices = isRescue
    ? mapRescueDevices({ buses, configDrive })
    : mapDevices({ spec, flavor, buses, hasIsoImage, configDrive });
  const makesRoot = rootImage !== null && !bootsFromVolume;
  return {
    root: makesRoot ? plannedRoot(input, devices, rootBytes) : null,
    ephemerals: plannedEphemerals(input, devices, osType),
    swap: plannedSwap(input, devices),
    volumes: isRescue ? [] : plannedVolumes(spec, devices),
    config: plannedConfigDrive(input, devices),
    bootFiles: plannedBootFiles(input),
  };
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

/** A disk without a size of its own is as large as the image; a rescue disk is, whatever the flavor. */
function plannedRoot(
  { settings, suffix }: DiskPlanInput,
  { root: { deviceType, ...place } }: DeviceMap,
  sizeBytes: number | null,
): PlannedRootDisk {
  return {
    kind: 'root',
    name: `disk${suffix}`,
    ...diskKeeping(settings),
    ...place,
    ...(deviceType === 'cdrom' && { deviceType }),
    sizeBytes,
  };
}

/**
 * The flavor's ephemeral disk is `disk.local`; those of mappings are `disk.eph0` and so on. Both count labels from 0.
 */
function plannedEphemerals(
  { spec, flavor, settings }: DiskPlanInput,
  { local, ephemerals }: DeviceMap,
  osType: OsType,
): readonly PlannedEphemeralDisk[] {
  const kept = diskKeeping(settings);
  const usualFileSystem = settings.defaultEphemeralFormat ?? ephemeralFileSystem(osType);
  const disk = (sizeGb: number, index: number, fileSystem = usualFileSystem) => {
    const content = { fileSystem, label: `ephemeral${index}`, sizeBytes: sizeGb * gibibyte };
    // A host's own command may be of any file system, which only that command knows the limits of.
    const problem = ownMkfsCommand(settings.virtMkfs, osType) === undefined ? fileSystemProblem(content) : null;
    if (problem !== null) throw new EverbootFailure('SpecInvalid', `ephemeral disk ${index}: ${problem}`);
    return { kind: 'ephemeral', ...kept, ...content, osType } as const;
  };
  if (local !== null) return [{ ...disk(flavor.ephemeralGb, 0), name: 'disk.local', ...local }];
  return ephemerals.map((place, index) => {
    const { sizeGb, fileSystem, tag } = mapped(spec.ephemerals, index);
    return { ...disk(sizeGb, index, fileSystem), name: `disk.eph${index}`, ...place, ...tagged(tag) };
  });
}

function plannedSwap({ spec, flavor, settings }: DiskPlanInput, { swap }: DeviceMap): PlannedSwapDisk | null {
  if (swap === null) return null;
  const sizeBytes = (spec.swap?.sizeMb ?? flavor.swapMb) * mebibyte;
  return { kind: 'swap', name: 'disk.swap', ...diskKeeping(settings), ...swap, sizeBytes, ...tagged(spec.swap?.tag) };
}

function plannedVolumes(spec: DeviceMappings, { volumes }: DeviceMap): readonly PlannedVolume[] {
  return volumes.map((place, index) => {
    const { source, boot = false, readOnly = place.deviceType === 'cdrom', tag } = mapped(spec.volumes, index);
    return { kind: 'volume', source, ...place, boot, readOnly, ...tagged(tag) };
  });
}

/** The mapping that a device was given to. */
function mapped<Mapping>(mappings: readonly Mapping[] | undefined, index: number): Mapping {
  const mapping = mappings?.[index];
  if (mapping === undefined) throw new EverbootFailure('InternalError', `a device was given to no mapping (${index})`);
  return mapping;
}

function tagged(tag: string | undefined): { readonly tag?: string } {
  return tag === undefined ? {} : { tag };
}

function plannedConfigDrive({ suffix }: DiskPlanInput, { config }: DeviceMap): PlannedConfigDrive | null {
  return config && { kind: 'config', name: `disk.config${suffix}`, format: 'raw', ...config };
}

/** Null: there is none. Nova's `configdrive.required_by`, and `get_config_drive_type`. */
function configDriveType({ spec, settings, rootImage }: DiskPlanInput): 'cdrom' | 'disk' | null {
  const policy = rootImage?.properties.img_config_drive ?? 'optional';
  if (policy !== 'mandatory' && policy !== 'optional') {
    const problem = `the image’s img_config_drive is ${JSON.stringify(policy)}; expected mandatory or optional`;
    throw new EverbootFailure('HostUnsuitable', problem);
  }
  if (!spec.configDrive && !settings.forceConfigDrive && policy !== 'mandatory') return null;
  return settings.configDriveFormat === 'iso9660' ? 'cdrom' : 'disk';
}

function plannedBootFiles({ hasKernel, hasRamdisk, suffix }: DiskPlanInput): PlannedBootFile[] {
  if (hasRamdisk && !hasKernel) {
    throw new EverbootFailure('SpecInvalid', 'a ramdisk is given without the kernel that would load it');
  }
  const kinds = [...(hasKernel ? (['kernel'] as const) : []), ...(hasRamdisk ? (['ramdisk'] as const) : [])];
  return kinds.map((kind) => ({ kind, name: `${kind}${suffix}` }));
}
