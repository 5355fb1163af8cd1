import type { DeviceModels } from '../device-models.ts';
import type { NetworkInterface } from '../spec.ts';
import { element, type XmlElement } from '../xml.ts';
import { type DomainDescription, isMachine } from './domain-description.ts';

/** The network cards, in the spec's order. A container has a device of the host's kernel, which is of no model. */
export function networkDevices({ spec, virtType }: DomainDescription, { vif }: DeviceModels): readonly XmlElement[] {
  return spec.interfaces.map((wanted) =>
    element('interface', { type: wanted.type === 'tap' ? 'ethernet' : wanted.type }, [
      wanted.mac === undefined ? undefined : element('mac', { address: wanted.mac }),
      plug(wanted),
      isMachine(virtType) ? element('model', { type: wanted.model ?? vif }) : undefined,
    ]),
  );
}

/** A tap device is the network's own: whoever made it keeps it, and libvirt only opens it. */
function plug({ type, source }: NetworkInterface): XmlElement {
  return type === 'tap' ? element('target', { dev: source, managed: 'no' }) : element('source', { [type]: source });
}
