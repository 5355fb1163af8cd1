import type { DiskBus } from '../../domain/disk-plan.ts';
import type { NetworkInterface } from '../../domain/spec.ts';
import type { GuestDisk, GuestDisks } from './contents.ts';

interface Devices {
  readonly disks: GuestDisks | undefined;
  readonly interfaces: readonly NetworkInterface[];
}

/**
 * The devices that carry a tag, disks first, as a guest finds them under `devices` in meta_data.json: what Nova's
 * `_build_device_metadata` (nova/virt/libvirt/driver.py) and `_get_device_metadata` (nova/api/metadata/base.py) make of
 * them. Nova waits for libvirt to give out PCI addresses first; here the drive is written before the domain is defined,
 * so that every address is `none`, which Nova writes as well where it knows none. A disk is found by its `path` then.
 */
export function deviceMetadata(
  { disks, interfaces }: Devices,
  { saysTrust }: { readonly saysTrust: boolean },
): readonly Readonly<Record<string, unknown>>[] {
  return [
    ...allDisks(disks).flatMap(({ tag, serial, device, bus }) => {
      if (tag === undefined) return [];
      const path = device === '' ? {} : { path: `/dev/${device}` };
      return [{ type: 'disk', serial: serial ?? null, ...path, bus: guestBuses[bus], address: 'none', tags: [tag] }];
    }),
    ...interfaces.flatMap(({ tag, mac, model }) => {
      if (tag === undefined || mac === undefined) return [];
      // A card that is trusted is a function of a physical one, which no interface of a spec is.
      const trust = saysTrust ? { vf_trusted: false } : {};
      const bus = model === 'usb-net' ? 'none' : 'pci';
      return [{ ...trust, type: 'nic', mac: mac.toLowerCase(), bus, address: 'none', tags: [tag] }];
    }),
  ];
}

/** In the order in which the domain has them. */
function allDisks(disks: GuestDisks | undefined): readonly GuestDisk[] {
  if (disks === undefined) return [];
  const { root, ephemerals, swap, volumes = [] } = disks;
  return [root, ...ephemerals, swap, ...volumes].filter((disk) => disk !== null);
}

/** A virtio disk is a PCI device of its own. Nova has no word for SATA, nor for what has no bus. */
const guestBuses = {
  virtio: 'pci',
  scsi: 'scsi',
  ide: 'ide',
  usb: 'usb',
  sata: 'none',
  lxc: 'none',
  uml: 'none',
} as const satisfies Record<DiskBus, string>;
