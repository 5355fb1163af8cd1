import type { DeviceModels } from '../device-models.ts';
import type { BootFileRole } from '../image.ts';
import { element, type XmlElement } from '../xml.ts';
import type { DomainDescription } from './domain-description.ts';

/** Nova's CONSOLE: the last one that is there becomes /dev/console. */
const consoles = 'console=tty0 console=ttyS0 console=hvc0';

/** The `<os>` element: the machine's firmware or a kernel of ours, a container's init, a UML kernel. */
export function operatingSystem(description: DomainDescription, models: DeviceModels): XmlElement {
  switch (description.virtType) {
    case 'lxc':
      return element('os', {}, [element('type', {}, 'exe'), element('init', {}, '/sbin/init')]);
    case 'uml':
      // The kernel is a program of the host's, as Nova had it.
      return element('os', {}, [
        element('type', {}, 'uml'),
        element('kernel', {}, '/usr/bin/linux'),
        element('root', {}, `/dev/${bootDevice(description) ?? 'ubda'}`),
      ]);
    case 'kvm':
    case 'qemu':
      return machineBoot(description, models);
  }
}

/** From which disk, each disk says itself: a list of kinds of devices could not distinguish two disks. */
function machineBoot(description: DomainDescription, { machine, firmware }: DeviceModels): XmlElement {
  const kernel = bootFile(description, 'kernel');
  const ramdisk = bootFile(description, 'ramdisk');
  return element('os', { firmware }, [
    element('type', { arch: 'x86_64', machine }, 'hvm'),
    // Else libvirt may choose a firmware that starts only what Microsoft signed.
    firmware === 'efi'
      ? element('firmware', {}, [element('feature', { enabled: 'no', name: 'secure-boot' })])
      : undefined,
    kernel === undefined ? undefined : element('kernel', {}, kernel),
    kernel === undefined || ramdisk === undefined ? undefined : element('initrd', {}, ramdisk),
    kernel === undefined ? undefined : element('cmdline', {}, kernelCommandLine(description)),
  ]);
}

function bootFile({ plan, directory }: DomainDescription, kind: BootFileRole): string | undefined {
  const planned = plan.bootFiles.find((file) => file.kind === kind);
  return planned && `${directory}/${planned.name}`;
}

/**
 * The spec's command line, else the image's, else Nova's default for an image with a kernel: the whole boot disk is the
 * root file system. Without KVM the kernel's test of its timer may fail for want of time.
 */
function kernelCommandLine(description: DomainDescription): string {
  const { spec, image, virtType } = description;
  const asked = spec.kernelCommandLine ?? image?.properties.os_command_line;
  if (asked !== undefined) return asked;
  const root = `root=/dev/${bootDevice(description) ?? 'vda'} ${consoles}`;
  return virtType === 'qemu' ? `${root} no_timer_check` : root;
}

/** The name of the disk that the guest boots from. */
function bootDevice({ plan }: DomainDescription): string | undefined {
  return plan.root?.device ?? plan.volumes?.find(({ boot }) => boot)?.device;
}
