import { EverbootFailure } from './failures.ts';

/** What an image's properties ask of the machine, the defaults filled in. */
export interface DeviceModels {
  readonly machine: string;
  /** Absent: the machine's BIOS. */
  readonly firmware: 'efi' | undefined;
  /** The network card where the spec names none. */
  readonly vif: string;
  readonly hasGuestAgent: boolean;
  readonly hasRandomSource: boolean;
}

/** Values of the properties that choose a device, after nova.virt.libvirt; the machine also by its versioned names. */
const knownMachine = /^(pc|q35|pc-i440fx-[0-9.]+|pc-q35-[0-9.]+)$/;
const knownVif = /^(virtio|e1000|e1000e|rtl8139|ne2k_pci|pcnet|vmxnet3)$/;
const knownFirmware = /^(bios|uefi)$/;
const knownFlag = /^(yes|no|true|false|on|off|1|0)$/i;
const knownRandomSource = /^virtio$/;

/**
 * Reads the `hw_…` properties of an image, named as Glance documents them. The machine is `pc` by default: the cloud
 * kernels of the distributions have no AHCI, which the CD drive of a q35 would need. Throws HostUnsuitable for a value
 * that is not known, with the property's name.
 */
export function deviceModels(properties: Readonly<Record<string, string>>): DeviceModels {
  const read = (name: string, known: RegExp): string | undefined => {
    const value = properties[name];
    if (value === undefined || known.test(value)) return value;
    throw new EverbootFailure(
      'HostUnsuitable',
      `the image’s property ${name} is ${JSON.stringify(value)}; expected ${known.source}`,
    );
  };
  return {
    machine: read('hw_machine_type', knownMachine) ?? 'pc',
    firmware: read('hw_firmware_type', knownFirmware) === 'uefi' ? 'efi' : undefined,
    vif: read('hw_vif_model', knownVif) ?? 'virtio',
    hasGuestAgent: /^(yes|true|on|1)$/i.test(read('hw_qemu_guest_agent', knownFlag) ?? 'no'),
    hasRandomSource: read('hw_rng_model', knownRandomSource) !== undefined,
  };
}
