import type { Claim } from './claim.ts';

import { deviceModels } from './device-models.ts';
import type { DiskPlan, PlannedDisk } from './disk-plan.ts';
import { diskSource, type StorageSettings } from './disk-source.ts';
import { libvirtDiskType, sourceElements } from './disk-source-xml.ts';
import { instanceMetadata } from './domain-metadata.ts';
import type { Flavor } from './flavors.ts';
import type { ImageDescription } from './image.ts';
import type { InstanceSpec, NetworkInterface } from './spec.ts';
import { element, renderXml, type XmlElement } from './xml.ts';

/** Everything that a domain's XML says, decided already. */
export interface DomainXmlInput {
  readonly claim: Claim;
  readonly spec: InstanceSpec;
  readonly flavor: Flavor;
  readonly plan: DiskPlan;
  /** Where the plan's files lie. */
  readonly directory: string;
  /** Where its other disks are. */
  readonly settings: StorageSettings;
  readonly virtType: 'kvm' | 'qemu';
  /** The root's image; null where there is none. */
  readonly image: ImageDescription | null;
  /** `none` needs a file system with O_DIRECT, see `resolveCacheMode`. */
  readonly cacheMode: CacheMode;
}

/** How QEMU keeps what the guest writes; `none` and `writeback` are what Nova chooses between. */
export type CacheMode = 'none' | 'writeback';

/** The domain's name on its host: the instance's, with as much of its id as tells two of one name apart. */
export function domainNameOf({ name, id }: Pick<InstanceSpec, 'name' | 'id'>): string {
  return `${name}-${id.slice(0, 8)}`;
}

/**
 * The whole XML that libvirt is given. Throws HostUnsuitable for an image property with a value that no device here
 * has, and SpecInvalid for a text that XML cannot hold.
 */
export function domainXml(input: DomainXmlInput): string {
  const { spec, flavor, plan, virtType, image } = input;
  const properties = image?.properties ?? {};
  const models = deviceModels(properties);
  const osType = spec.osType ?? properties.os_type ?? 'linux';
  return renderXml(
    element('domain', { type: virtType }, [
      element('name', {}, domainNameOf(spec)),
      element('uuid', {}, spec.id),
      instanceMetadata(input),
      element('memory', { unit: 'MiB' }, String(flavor.memoryMb)),
      element('vcpu', {}, String(flavor.vcpus)),
      operatingSystem(input, models),
      element('features', {}, [element('acpi'), element('apic')]),
      // QEMU's default processor lacks what newer distributions are compiled for; `maximum` is all that it can emulate.
      element('cpu', { mode: virtType === 'kvm' ? 'host-model' : 'maximum' }),
      clock(osType),
      element('on_poweroff', {}, 'destroy'),
      element('on_reboot', {}, 'restart'),
      element('on_crash', {}, 'destroy'),
      element('devices', {}, [
        ...plannedDisks(plan).map((disk) => diskDevice(disk, input)),
        plannedDisks(plan).some(({ bus }) => bus === 'scsi')
          ? element('controller', { type: 'scsi', model: 'virtio-scsi' })
          : undefined,
        ...spec.interfaces.map((wanted) => networkDevice(wanted, models.vif)),
        element('serial', { type: 'pty' }, [
          element('target', { port: 0 }),
          element('log', { file: `${input.directory}/console.log`, append: 'off' }),
        ]),
        models.hasGuestAgent
          ? element('channel', { type: 'unix' }, [
              element('target', { type: 'virtio', name: 'org.qemu.guest_agent.0' }),
            ])
          : undefined,
        models.hasRandomSource
          ? element('rng', { model: 'virtio' }, [element('backend', { model: 'random' }, '/dev/urandom')])
          : undefined,
        element('memballoon', { model: 'virtio' }),
      ]),
    ]),
  );
}

/** The machine, and how it boots: by its firmware from the first disk, or straight into a kernel of ours. */
function operatingSystem(
  { plan, directory, spec, image }: DomainXmlInput,
  { machine, firmware }: ReturnType<typeof deviceModels>,
): XmlElement {
  const bootFile = (kind: 'kernel' | 'ramdisk'): string | undefined => {
    const planned = plan.bootFiles.find((file) => file.kind === kind);
    return planned && `${directory}/${planned.name}`;
  };
  const kernel = bootFile('kernel');
  const ramdisk = bootFile('ramdisk');
  // Nova's default for an image with a kernel: the whole first disk is the root file system.
  const commandLine =
    spec.kernelCommandLine ??
    image?.properties.os_command_line ??
    `root=/dev/${plan.root?.device ?? 'vda'} console=ttyS0`;
  return element('os', { firmware }, [
    element('type', { arch: 'x86_64', machine }, 'hvm'),
    kernel === undefined ? undefined : element('kernel', {}, kernel),
    kernel === undefined || ramdisk === undefined ? undefined : element('initrd', {}, ramdisk),
    kernel === undefined ? undefined : element('cmdline', {}, commandLine),
    element('boot', { dev: 'hd' }),
  ]);
}

/** Timers as Nova sets them; Windows keeps its hardware clock in local time. */
function clock(osType: string): XmlElement {
  return element('clock', { offset: osType === 'windows' ? 'localtime' : 'utc' }, [
    element('timer', { name: 'pit', tickpolicy: 'delay' }),
    element('timer', { name: 'rtc', tickpolicy: 'catchup' }),
    element('timer', { name: 'hpet', present: 'no' }),
  ]);
}

function plannedDisks({ root, ephemerals, swap, config }: DiskPlan): PlannedDisk[] {
  return [root, ...ephemerals, swap, config].filter((disk) => disk !== null);
}

/** The format is always said: a guest can write another format's header into its raw disk. */
function diskDevice(disk: PlannedDisk, { spec, directory, settings, cacheMode }: DomainXmlInput): XmlElement {
  const isCdrom = disk.kind === 'config' && disk.deviceType === 'cdrom';
  const source = diskSource(disk, { instanceId: spec.id, directory, settings });
  return element('disk', { type: libvirtDiskType(source), device: isCdrom ? 'cdrom' : 'disk' }, [
    element('driver', { name: 'qemu', type: disk.format, cache: cacheMode }),
    ...sourceElements(source),
    element('target', { dev: disk.device, bus: disk.bus }),
    isCdrom ? element('readonly') : undefined,
  ]);
}

function networkDevice({ type, source, mac, model }: NetworkInterface, imageModel: string): XmlElement {
  return element('interface', { type }, [
    mac === undefined ? undefined : element('mac', { address: mac }),
    element('source', { [type]: source }),
    element('model', { type: model ?? imageModel }),
  ]);
}
