import type { LibvirtSettings } from './configuration.ts';
import type { DiskBus } from './disk-plan.ts';
import { EverbootFailure } from './failures.ts';

/** The buses of a machine that QEMU makes, which a spec or an image may ask for. */
export const deviceBusNames = ['virtio', 'scsi', 'ide', 'sata', 'usb'] as const satisfies readonly DiskBus[];

/** Null: a container has no devices with names. After Nova's get_dev_prefix_for_disk_bus. */
const namePrefixes = {
  virtio: 'vd',
  scsi: 'sd',
  ide: 'hd',
  sata: 'sd',
  usb: 'sd',
  lxc: null,
  uml: 'ubd',
} as const satisfies Record<DiskBus, string | null>;

/** An IDE controller has two channels with two devices each. */
const maxIdeDevices = 4;

/** Device names that a spec may ask for; those of IDE end where its controller does. */
export const deviceNamePattern = /^(?:hd[a-d]|(?:vd|sd)[a-z]{1,3})$/;

export interface DeviceBuses {
  readonly disk: DiskBus;
  readonly cdrom: DiskBus;
  /** All that the machine has. */
  readonly all: readonly DiskBus[];
}

/**
 * The buses for disks and CD-ROMs: what the image asks for (`hw_disk_bus`, `hw_cdrom_bus`), else virtio, and for
 * CD-ROMs IDE, which the machine type q35 does not have. A container and User Mode Linux have one bus for everything.
 * After Nova's get_disk_bus_for_device_type, for x86_64. Throws HostUnsuitable, naming a bus that the machine does not
 * have.
 */
export function deviceBuses(
  imageProperties: Readonly<Record<string, string>>,
  virtType: LibvirtSettings['virtType'],
): DeviceBuses {
  const isQ35 = imageProperties.hw_machine_type?.includes('q35') ?? false;
  const all = busesOf(virtType, isQ35);
  const read = (property: string): DiskBus | undefined => {
    const asked = imageProperties[property];
    return asked === undefined ? undefined : knownBus(asked, all, `the image’s ${property}`);
  };
  const disk = read('hw_disk_bus');
  const cdrom = read('hw_cdrom_bus');
  if (virtType === 'lxc' || virtType === 'uml') return { disk: virtType, cdrom: virtType, all };
  return { disk: disk ?? 'virtio', cdrom: cdrom ?? (isQ35 ? 'sata' : 'ide'), all };
}

/**
 * Nova's SUPPORTED_DEVICE_BUSES, without what libvirt refuses when all disks are made: `fdc`, on which nothing but
 * floppies may be, and the IDE that a q35 does not have.
 */
function busesOf(virtType: LibvirtSettings['virtType'], isQ35: boolean): readonly DiskBus[] {
  if (virtType === 'lxc' || virtType === 'uml') return [virtType];
  return isQ35 ? deviceBusNames.filter((bus) => bus !== 'ide') : deviceBusNames;
}

/** A bus by its name, on a machine that has these. Throws HostUnsuitable, naming who asked for it. */
export function knownBus(asked: string, buses: readonly DiskBus[], asker: string): DiskBus {
  const known = buses.find((bus) => bus === asked);
  if (known !== undefined) return known;
  throw new EverbootFailure(
    'HostUnsuitable',
    `${asker} is ${JSON.stringify(asked)}; the machine has disks on ${buses.join(', ')}`,
  );
}

/**
 * The bus that a device of this name is likely to be on: Nova's get_disk_bus_for_disk_dev, for which every sda is SCSI.
 */
export function busOfDeviceName(device: string): DiskBus {
  if (device.startsWith('hd')) return 'ide';
  return device.startsWith('sd') ? 'scsi' : 'virtio';
}

/**
 * The first device name on a bus that is free: vda … vdz, vdaa … as Nova's find_disk_dev_for_disk_bus finds it. Empty
 * in a container, whose disks have no names. Throws HostUnsuitable when an IDE controller is full.
 */
export function firstFreeDevice(bus: DiskBus, isTaken: (device: string) => boolean): string {
  const prefix = namePrefixes[bus];
  if (prefix === null) return '';
  for (let index = 0; bus !== 'ide' || index < maxIdeDevices; index += 1) {
    const device = prefix + deviceLetters(index);
    if (!isTaken(device)) return device;
  }
  throw new EverbootFailure('HostUnsuitable', `an IDE controller has no place for more than ${maxIdeDevices} disks`);
}

/** 0 is a, 25 is z, 26 is aa. */
function deviceLetters(index: number): string {
  const last = String.fromCharCode(97 + (index % 26));
  return index < 26 ? last : deviceLetters(Math.floor(index / 26) - 1) + last;
}
