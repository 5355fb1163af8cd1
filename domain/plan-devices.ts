import { busOfDeviceName, type DeviceBuses, firstFreeDevice, knownBus } from './disk-devices.ts';
import type { DiskBus } from './disk-plan.ts';
import { EverbootFailure } from './failures.ts';
import type { EphemeralDevice, InstanceSpec, SwapDevice, VolumeDevice } from './spec.ts';

/** The block device mappings of a spec. */
export type DeviceMappings = Pick<InstanceSpec, 'ephemerals' | 'swap' | 'volumes'>;

/** Where a disk is for the guest. */
export interface DevicePlace {
  readonly bus: DiskBus;
  readonly device: string;
}

export interface VolumePlace extends DevicePlace {
  readonly deviceType: 'disk' | 'cdrom';
}

/** Which device each disk of a guest is; null where there is no such disk. */
export interface DeviceMap {
  /** The root's, whether it is a disk of ours or a volume. */
  readonly root: VolumePlace;
  /** The flavor's ephemeral disk, `disk.local`. */
  readonly local: DevicePlace | null;
  readonly ephemerals: readonly DevicePlace[];
  readonly swap: DevicePlace | null;
  readonly volumes: readonly VolumePlace[];
  readonly config: VolumePlace | null;
}

export interface DeviceMapInput {
  readonly spec: DeviceMappings;
  readonly flavor: { readonly ephemeralGb: number; readonly swapMb: number };
  readonly buses: DeviceBuses;
  readonly hasIsoImage: boolean;
  readonly configDrive: 'cdrom' | 'disk' | null;
}

/**
 * Gives every disk of a guest its device: Nova's blockinfo._get_disk_mapping, in its order, on which the names depend.
 * The root is first, then come the ephemeral disks, the swap, the volumes, and the config drive. A name that the spec
 * gives is respected, and the others leave it free.
 *
 * Throws SpecInvalid for a name that two of them would have, HostUnsuitable for a bus that the host does not have.
 */
export function mapDevices(input: DeviceMapInput): DeviceMap {
  const { spec, flavor, buses, configDrive } = input;
  const { ephemerals = [], swap, volumes = [] } = spec;
  const named = namedDevices(input);
  const taken = new Set<string>();
  const take = (place: DevicePlace): DevicePlace => {
    taken.add(place.device);
    return place;
  };
  const isFree = (device: string): boolean => !taken.has(device) && !named.has(device);
  const next = (bus: DiskBus): DevicePlace => take({ bus, device: firstFreeDevice(bus, (device) => !isFree(device)) });
  const asked = (wish: EphemeralDevice | SwapDevice, asker: string): DevicePlace => {
    const bus = askedBus(wish, buses, asker) ?? buses.disk;
    return wish.device === undefined ? next(bus) : take({ bus, device: wish.device });
  };
  // A disk of the flavor's gives way to a mapping that names its device, which is taken then, too.
  const unlessNamed = (bus: DiskBus): DevicePlace | null => {
    const place = take({ bus, device: firstFreeDevice(bus, (name) => taken.has(name)) });
    return named.has(place.device) ? null : place;
  };

  const root = rootPlace(input, named);
  taken.add(root.device);
  const local = flavor.ephemeralGb > 0 && ephemerals.length === 0 ? unlessNamed(buses.disk) : null;
  const ephemeralPlaces = ephemerals.map((wish, index) => asked(wish, `ephemerals[${index}].bus`));
  const flavorSwap = (): DevicePlace | null => (flavor.swapMb > 0 ? unlessNamed(buses.disk) : null);
  const swapPlace = swap === undefined ? flavorSwap() : asked(swap, 'swap.bus');
  const volumePlaces = volumes.map((wish, index): VolumePlace => {
    if (wish.boot === true) return root;
    const deviceType = wish.deviceType ?? 'disk';
    const likelyBus = wish.device === undefined ? busOfKind(deviceType, buses) : busOfDeviceName(wish.device);
    const bus =
      askedBus(wish, buses, `volumes[${index}].bus`) ?? knownBus(likelyBus, buses.all, `the bus of ${wish.device}`);
    return { deviceType, ...(wish.device === undefined ? next(bus) : take({ bus, device: wish.device })) };
  });
  return {
    root,
    local,
    ephemerals: ephemeralPlaces,
    swap: swapPlace,
    volumes: volumePlaces,
    config: configDrive === null ? null : { deviceType: configDrive, ...next(busOfKind(configDrive, buses)) },
  };
}

/**
 * The devices of a rescue: its own root disk, then the instance's, whose device nothing else may have, then the config
 * drive. Nova's blockinfo._get_rescue_disk_mapping, for which an ISO image is a disk as well.
 */
export function mapRescueDevices({ buses, configDrive }: Pick<DeviceMapInput, 'buses' | 'configDrive'>): DeviceMap {
  const taken = new Set<string>();
  const next = (bus: DiskBus): DevicePlace => {
    const device = firstFreeDevice(bus, (name) => taken.has(name));
    taken.add(device);
    return { bus, device };
  };
  const root = { deviceType: 'disk', ...next(buses.disk) } as const;
  next(buses.disk);
  const config = configDrive === null ? null : { deviceType: configDrive, ...next(busOfKind(configDrive, buses)) };
  return { root, local: null, ephemerals: [], swap: null, volumes: [], config };
}

function busOfKind(deviceType: 'disk' | 'cdrom', buses: DeviceBuses): DiskBus {
  return deviceType === 'cdrom' ? buses.cdrom : buses.disk;
}

/** Nova's get_root_info: an ISO image makes a CD-ROM of whatever the root is. */
function rootPlace(input: DeviceMapInput, named: ReadonlyMap<string, string>): VolumePlace {
  const { spec, buses, hasIsoImage } = input;
  const index = spec.volumes?.findIndex(({ boot }) => boot === true) ?? -1;
  const wish = spec.volumes?.[index];
  const asker = `volumes[${index}]`;
  const wanted = wish && askedBus(wish, buses, `${asker}.bus`);
  const bus = hasIsoImage ? buses.cdrom : (wanted ?? buses.disk);
  const deviceType = hasIsoImage ? 'cdrom' : (wish?.deviceType ?? 'disk');
  if (wish?.device !== undefined) return { bus, deviceType, device: wish.device };
  const device = firstFreeDevice(bus, () => false);
  const other = named.get(device);
  if (other !== undefined) throw clash(device, other, wish === undefined ? 'the root disk' : asker);
  return { bus, deviceType, device };
}

/** Every device that a mapping names, with the mapping's place in the spec. */
function namedDevices({ spec, buses }: DeviceMapInput): ReadonlyMap<string, string> {
  const { ephemerals = [], swap, volumes = [] } = spec;
  const named = new Map<string, string>();
  const add = (device: string | undefined, place: string): void => {
    if (device === undefined) return;
    if (buses.all.length === 1) {
      throw new EverbootFailure(
        'HostUnsuitable',
        `${place}.device is ${device}; a guest of ${buses.disk} has no such names`,
      );
    }
    const other = named.get(device);
    if (other !== undefined) throw clash(device, other, place);
    named.set(device, place);
  };
  for (const [index, { device }] of ephemerals.entries()) add(device, `ephemerals[${index}]`);
  add(swap?.device, 'swap');
  for (const [index, { device }] of volumes.entries()) add(device, `volumes[${index}]`);
  return named;
}

function clash(device: string, one: string, other: string): EverbootFailure {
  return new EverbootFailure('SpecInvalid', `the device ${device} is that of ${one} and of ${other}`, {
    remedy: `Name another device in ${one}.`,
  });
}

function askedBus(
  { bus }: EphemeralDevice | SwapDevice | VolumeDevice,
  { all }: DeviceBuses,
  asker: string,
): DiskBus | undefined {
  return bus && knownBus(bus, all, asker);
}
