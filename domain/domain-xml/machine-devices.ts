import type { DeviceModels } from '../device-models.ts';
import { element, type XmlElement } from '../xml.ts';
import { type DomainDescription, isMachine } from './domain-description.ts';

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

/**
 * The console, and the file that keeps what it prints. It is appended to, since virtlogd would else replace the file that
 * was made for it by one that its group cannot read; virtlogd keeps it small all the same.
 */
export function consoleDevices({ directory, virtType }: DomainDescription): readonly XmlElement[] {
  const log = element('log', { file: `${directory}/console.log`, append: 'on' });
  if (isMachine(virtType)) return [element('serial', { type: 'pty' }, [element('target', { port: 0 }), log])];
  return [element('console', { type: 'pty' }, [element('target', { type: virtType, port: 0 }), log])];
}
