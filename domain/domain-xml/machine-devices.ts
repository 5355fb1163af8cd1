import type { DeviceModels } from '../device-models.ts';
import { element, type XmlElement } from '../xml.ts';

/** The machine's devices besides disks, cards and console; every guest gets random bytes, as in Nova. */
export function machineDevices({ hasGuestAgent }: DeviceModels): readonly XmlElement[] {
  const agent = element('channel', { type: 'unix' }, [
    element('target', { type: 'virtio', name: 'org.qemu.guest_agent.0' }),
  ]);
  return [
    ...(hasGuestAgent ? [agent] : []),
    element('rng', { model: 'virtio' }, [element('backend', { model: 'random' }, '/dev/urandom')]),
    element('memballoon', { model: 'virtio' }),
  ];
}
