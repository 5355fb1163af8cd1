import type { DiskBus } from './disk-plan.ts';
import { EverbootFailure } from './failures.ts';

const namePrefixes = { virtio: 'vd', ide: 'hd', scsi: 'sd', sata: 'sd' } as const satisfies Record<DiskBus, string>;

/** An IDE controller has two channels with two devices each. */
const maxIdeDevices = 4;

export interface DeviceBuses {
  readonly disk: DiskBus;
  readonly cdrom: DiskBus;
}

/**
 * The buses for disks and CD-ROMs: what the image asks for (`hw_disk_bus`, `hw_cdrom_bus`), else virtio, and for
 * CD-ROMs IDE, which the machine type q35 has not. After Nova's get_disk_bus_for_device_type, for x86_64.
 * Throws HostUnsuitable, naming a bus that is not known.
 */
export function deviceBuses(imageProperties: Readonly<Record<string, string>>): DeviceBuses {
  const isQ35 = imageProperties.hw_machine_type?.includes('q35') ?? false;
  return {
    disk: requestedBus(imageProperties, 'hw_disk_bus') ?? 'virtio',
    cdrom: requestedBus(imageProperties, 'hw_cdrom_bus') ?? (isQ35 ? 'sata' : 'ide'),
  };
}

function requestedBus(imageProperties: Readonly<Record<string, string>>, property: string): DiskBus | undefined {
  const requested = imageProperties[property];
  if (requested === undefined) return undefined;
  if (Object.hasOwn(namePrefixes, requested)) return requested as DiskBus;
  throw new EverbootFailure(
    'HostUnsuitable',
    `the image’s ${property} is ${JSON.stringify(requested)}; hosts attach disks by ${Object.keys(namePrefixes).join(', ')}`,
  );
}

/**
 * Gives out device names for one guest, each the first that is free on its bus: vda … vdz, vdaa … as Nova's
 * find_disk_dev_for_disk_bus does. Throws HostUnsuitable when an IDE controller is full.
 */
export function deviceNaming(): (bus: DiskBus) => string {
  const used = new Map<string, number>();
  return (bus) => {
    const prefix = namePrefixes[bus];
    const index = used.get(prefix) ?? 0;
    if (bus === 'ide' && index >= maxIdeDevices) {
      throw new EverbootFailure(
        'HostUnsuitable',
        `an IDE controller has no place for more than ${maxIdeDevices} disks`,
      );
    }
    used.set(prefix, index + 1);
    return prefix + deviceLetters(index);
  };
}

/** 0 is a, 25 is z, 26 is aa. */
function deviceLetters(index: number): string {
  const last = String.fromCharCode(97 + (index % 26));
  return index < 26 ? last : deviceLetters(Math.floor(index / 26) - 1) + last;
}
