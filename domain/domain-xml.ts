import { deviceModels } from './device-models.ts';
import { instanceMetadata } from './domain-metadata.ts';
import { diskDevices } from './domain-xml/disk-devices.ts';
import { type DomainDescription, isMachine } from './domain-xml/domain-description.ts';
import { consoleDevices, machineDevices } from './domain-xml/machine-devices.ts';
import { networkDevices } from './domain-xml/network-devices.ts';
import { operatingSystem } from './domain-xml/operating-system.ts';
import { clock, features, processor } from './domain-xml/processor.ts';
import type { InstanceSpec } from './spec.ts';
import { element, renderXml } from './xml.ts';

/** The domain's name on its host: the instance's, with as much of its id as distinguishes two of one name. */
export function domainNameOf({ name, id }: Pick<InstanceSpec, 'name' | 'id'>): string {
  return `${name}-${id.slice(0, 8)}`;
}

/**
 * The whole XML that libvirt is given, with the values that Nova's `_get_guest_config` would choose. Throws
 * HostUnsuitable for an image property with a value that no device here has, and SpecInvalid for a text that XML cannot
 * hold.
 */
export function domainXml(description: DomainDescription): string {
  const { spec, flavor, virtType, image } = description;
  const properties = image?.properties ?? {};
  const models = deviceModels(properties);
  const osType = (spec.osType ?? properties.os_type ?? 'linux').toLowerCase();
  return renderXml(
    element('domain', { type: virtType }, [
      element('name', {}, domainNameOf(spec)),
      element('uuid', {}, spec.id),
      instanceMetadata(description),
      element('memory', { unit: 'MiB' }, String(flavor.memoryMb)),
      element('vcpu', {}, String(flavor.vcpus)),
      operatingSystem(description, models),
      features(virtType, osType),
      processor(description),
      clock(virtType, osType),
      element('on_poweroff', {}, 'destroy'),
      element('on_reboot', {}, 'restart'),
      element('on_crash', {}, 'destroy'),
      element('devices', {}, [
        ...diskDevices(description),
        ...networkDevices(description, models),
        ...consoleDevices(description),
        ...(isMachine(virtType) ? machineDevices(models) : []),
      ]),
    ]),
  );
}
