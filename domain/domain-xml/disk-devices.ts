import type { DiskBus, PlannedDisk, PlannedVolume } from '../disk-plan.ts';
import { type DiskSource, diskSource, volumeSource } from '../disk-source.ts';
import { libvirtDiskType, sourceElements } from '../disk-source-xml.ts';
import { containerRootName } from '../host-paths.ts';
import { element, type XmlElement } from '../xml.ts';
import { type DomainDescription, isMachine } from './domain-description.ts';

/** A disk as the domain has it, whether it is made or was there already. */
interface AttachedDisk {
  readonly source: DiskSource;
  readonly format: string;
  readonly device: string;
  readonly bus: DiskBus;
  readonly isCdrom: boolean;
  readonly isReadOnly: boolean;
  /** True: the guest boots from it. */
  readonly boots: boolean;
}

/**
 * The disks in Nova's order: root, ephemerals, swap, volumes, config drive; behind them the controller of those on
 * SCSI. A container has its root as a folder instead.
 */
export function diskDevices(description: DomainDescription): readonly XmlElement[] {
  if (description.virtType === 'lxc') return containerRoot(description);
  const disks = attachedDisks(description);
  const onScsi = disks.filter(({ bus }) => bus === 'scsi');
  return [
    ...disks.map((disk) => diskDevice(disk, description, onScsi.indexOf(disk))),
    ...(onScsi.length > 0 ? [element('controller', { type: 'scsi', index: 0, model: 'virtio-scsi' })] : []),
  ];
}

function attachedDisks(description: DomainDescription): AttachedDisk[] {
  const { plan, spec, directory, settings } = description;
  const { root, ephemerals, swap, volumes = [], config } = plan;
  const made = (disk: PlannedDisk): AttachedDisk => {
    const isCdrom = 'deviceType' in disk && disk.deviceType === 'cdrom';
    const source = diskSource(disk, { instanceId: spec.id, directory, settings });
    const { format, device, bus } = disk;
    return { source, format, device, bus, isCdrom, isReadOnly: isCdrom, boots: disk.kind === 'root' };
  };
  const present = ({ device, bus, readOnly, ...volume }: PlannedVolume): AttachedDisk => {
    const isCdrom = volume.deviceType === 'cdrom';
    const source = volumeSource(volume.source, settings);
    return { source, format: 'raw', device, bus, isCdrom, isReadOnly: isCdrom || readOnly, boots: volume.boot };
  };
  return [
    ...[root, ...ephemerals, swap].filter((disk) => disk !== null).map(made),
    ...volumes.map(present),
    ...(config === null ? [] : [made(config)]),
  ];
}

/** The format is always said: a guest can write another format's header into its raw disk. */
function diskDevice(disk: AttachedDisk, { cacheMode, virtType }: DomainDescription, scsiUnit: number): XmlElement {
  const { source, format, device, bus } = disk;
  // What is no file in a file system of the host is never kept in its memory; io as Nova has it for block devices.
  const cache = source.type === 'file' ? cacheMode : 'none';
  const io = source.type === 'block' ? 'native' : undefined;
  return element('disk', { type: libvirtDiskType(source), device: disk.isCdrom ? 'cdrom' : 'disk' }, [
    isMachine(virtType) ? element('driver', { name: 'qemu', type: format, cache, io }) : undefined,
    ...sourceElements(source),
    element('target', { dev: device, bus }),
    disk.isReadOnly ? element('readonly') : undefined,
    disk.boots && isMachine(virtType) ? element('boot', { order: 1 }) : undefined,
    // By itself libvirt puts the eighth disk on a second controller, of a model that cloud kernels do not know.
    scsiUnit < 0 ? undefined : element('address', { type: 'drive', controller: 0, unit: scsiUnit }),
  ]);
}

/**
 * The root of a container is a folder, made from its root disk; its other disks are made as for any instance and are
 * not attached, as in Nova.
 */
function containerRoot({ plan, directory }: DomainDescription): readonly XmlElement[] {
  if (plan.root === null) return [];
  const source = element('source', { dir: `${directory}/${containerRootName}` });
  return [element('filesystem', { type: 'mount' }, [source, element('target', { dir: '/' })])];
}
