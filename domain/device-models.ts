import { EverbootFailure } from './failures.ts';

/** The machine's devices by the image's properties, the defaults filled in. */
export interface DeviceModels {
  readonly machine: string;
  /** Absent: the machine's BIOS. */
  readonly firmware: 'efi' | undefined;
  /** The network card where the spec names none. */
  readonly vif: string;
  readonly hasGuestAgent: boolean;
}

interface KnownValues {
  readonly pattern: RegExp;
  readonly words: string;
}

/** Values of the properties that choose a device, after nova.virt.libvirt; a machine also by its versioned name. */
const known = {
  machine: {
    pattern: /^(pc|q35|pc-(i440fx|q35)-[A-Za-z0-9.]{1,32})$/,
    words: 'pc, q35 or a version of them such as pc-q35-7.2',
  },
  vif: {
    pattern: /^(virtio|e1000|e1000e|igb|rtl8139|ne2k_pci|pcnet|vmxnet3)$/,
    words: 'virtio, e1000, e1000e, igb, rtl8139, ne2k_pci, pcnet or vmxnet3',
  },
  firmware: { pattern: /^(bios|uefi)$/, words: 'bios or uefi' },
  flag: { pattern: /^(yes|no|true|false|on|off|1|0)$/i, words: 'yes or no' },
  randomSource: { pattern: /^virtio$/, words: 'virtio' },
} as const satisfies Record<string, KnownValues>;

/**
 * Reads the `hw_…` properties of an image, named as Glance documents them. The machine is `pc` by default: the cloud
 * kernels of the distributions have no AHCI, which the CD drive of a q35 would need. `hw_rng_model` is read for its one
 * value only: as in Nova, every guest has a source of random bytes. Throws HostUnsuitable for a value that is not
 * known, with the property's name.
 */
export function deviceModels(properties: Readonly<Record<string, string>>): DeviceModels {
  const read = (name: string, { pattern, words }: KnownValues): string | undefined => {
    const value = properties[name];
    if (value === undefined || pattern.test(value)) return value;
    throw new EverbootFailure(
      'HostUnsuitable',
      `the image’s property ${name} is ${JSON.stringify(value)}; expected ${words}`,
    );
  };
  read('hw_rng_model', known.randomSource);
  return {
    machine: read('hw_machine_type', known.machine) ?? 'pc',
    firmware: read('hw_firmware_type', known.firmware) === 'uefi' ? 'efi' : undefined,
    vif: read('hw_vif_model', known.vif) ?? 'virtio',
    hasGuestAgent: /^(yes|true|on|1)$/i.test(read('hw_qemu_guest_agent', known.flag) ?? 'no'),
  };
}
