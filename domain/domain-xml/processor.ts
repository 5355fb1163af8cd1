import { element, type XmlElement } from '../xml.ts';
import { type DomainDescription, isMachine, type VirtType } from './domain-description.ts';

/**
 * The processor that a machine's guest sees: `[libvirt] cpu_mode`, else the host's own model under KVM, as in Nova.
 * Without KVM Nova takes the host's model as well, which QEMU may not be able to emulate, while its own default lacks
 * what newer distributions are compiled for: here it is `maximum`, all that QEMU can emulate.
 */
export function processor({ settings, virtType }: DomainDescription): XmlElement | undefined {
  if (!isMachine(virtType)) return undefined;
  const mode = settings.cpuMode ?? (virtType === 'kvm' ? 'host-model' : 'maximum');
  return mode === 'none' ? undefined : element('cpu', { mode });
}

/**
 * The features of every machine, and those by which Windows knows KVM, after Nova's `_set_features`. Nova gives that to
 * Windows without KVM as well, where QEMU ignores it. A container loses the right to make files that nobody can remove
 * (`chattr +i`), which libvirt's `lxcContainerDropCapabilities` leaves to it, or its directory could never be emptied.
 */
export function features(virtType: VirtType, osType: string): XmlElement | undefined {
  if (virtType === 'lxc') {
    const off = element('linux_immutable', { state: 'off' });
    return element('features', {}, [element('capabilities', { policy: 'default' }, [off])]);
  }
  if (!isMachine(virtType)) return undefined;
  return element('features', {}, [
    element('acpi'),
    element('apic'),
    virtType === 'kvm' && osType === 'windows' ? hyperv() : undefined,
    element('vmcoreinfo', { state: 'on' }),
  ]);
}

const hypervNames = ['relaxed', 'vapic', 'vpindex', 'runtime', 'synic', 'reset', 'frequencies', 'tlbflush', 'ipi'];

function hyperv(): XmlElement {
  const on = { state: 'on' };
  // The number of retries is what KVM's maintainers certify Windows with.
  const spinlocks = element('spinlocks', { ...on, retries: 8191 });
  return element('hyperv', {}, [...hypervNames.map((name) => element(name, on)), spinlocks]);
}

/** Windows keeps its hardware clock in local time. The timers are those that Nova sets for KVM. */
export function clock(virtType: VirtType, osType: string): XmlElement {
  const isWindows = osType === 'windows';
  const timers = [
    element('timer', { name: 'pit', tickpolicy: 'delay' }),
    element('timer', { name: 'rtc', tickpolicy: 'catchup' }),
    element('timer', { name: 'hpet', present: 'no' }),
    isWindows ? element('timer', { name: 'hypervclock', present: 'yes' }) : undefined,
  ];
  return element('clock', { offset: isWindows ? 'localtime' : 'utc' }, virtType === 'kvm' ? timers : []);
}
