import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DiskBus, DiskPlan, PlannedVolume } from '../../domain/disk-plan.ts';
import type { DomainDescription } from '../../domain/domain-xml/domain-description.ts';
import { domainXml } from '../../domain/domain-xml.ts';
import type { InstanceSpec } from '../../domain/spec.ts';
import { isThere } from '../../hypervisor/files/small-file.ts';
import { closeLibvirt, defineDomain, removeDomain } from '../../hypervisor/libvirt/libvirt.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { type Combination, everyThree } from './combinations.ts';
import { bootFiles, description, imageWith, plan, spec, volumeOf } from './domain-xml-fixtures.ts';

const schemas = '/usr/share/libvirt/schemas';
const systemUri = 'qemu:///system';
const nbd = { nbd: { host: 'storage.example', port: 10809, export: 'root' } };
const rbd = { rbd: { pool: 'volumes', image: 'volume-1' } };
const cards: InstanceSpec['interfaces'] = [
  { type: 'network', source: 'default' },
  { type: 'bridge', source: 'br0', mac: '52:54:00:12:34:56', model: 'e1000' },
  { type: 'tap', source: 'tap3f2a9c04-11', mac: '52:54:00:12:34:57' },
];

/** The parts of a machine's XML. */
const machines = {
  virtType: ['qemu', 'kvm'],
  cpuMode: [null, 'none', 'host-passthrough', 'maximum'],
  machine: [undefined, 'pc', 'q35', 'pc-q35-7.2'],
  firmware: [undefined, 'bios', 'uefi'],
  bus: ['virtio', 'scsi', 'sata', 'ide'],
  disks: ['qcow2', 'raw', 'lvm', 'rbd'],
  rbdUser: ['nova', null],
  root: ['disk', 'cdrom', 'boot volume', 'none'],
  volumes: [[], [{ block: '/dev/disk/by-id/a' }], [nbd, rbd]],
  readOnly: [false, true],
  config: ['cdrom', 'disk', 'none'],
  kernel: ['none', 'kernel', 'kernel and ramdisk'],
  interfaces: [[], cards],
  osType: ['linux', 'windows'],
  cacheMode: ['none', 'writeback'],
  devices: [{}, { hw_qemu_guest_agent: 'yes', hw_rng_model: 'virtio', hw_vif_model: 'e1000e' }],
} as const;

type Machine = Combination<typeof machines>;

/** Without the rows that a plan never has, or that are refused before. */
function isPossible({ machine, bus, root, readOnly }: Machine): boolean {
  if (bus === 'virtio' && root === 'cdrom') return false;
  if (bus === 'ide' && machine?.includes('q35')) return false;
  return !readOnly || bus === 'virtio' || bus === 'scsi';
}

const letters = 'abcdefghijklmnop';

function machineOf(row: Machine): DomainDescription {
  const { bus, disks, machine, firmware } = row;
  let used = 0;
  const prefix = { virtio: 'vd', scsi: 'sd', sata: 'sd', ide: 'hd' }[bus];
  const next = () => ({ device: `${prefix}${letters[used++]}`, bus });
  const kept =
    disks === 'lvm' || disks === 'rbd' ? ({ format: 'raw', storage: disks } as const) : ({ format: disks } as const);
  const root = { kind: 'root', name: 'disk', sizeBytes: null, ...kept, ...next() } as const;
  const [ephemeral, swap] = [next(), next()];
  const cdromBus = machine?.includes('q35') ? 'sata' : 'ide';
  const cdromDevice = { device: cdromBus === 'ide' ? 'hdd' : 'sdp', bus: cdromBus, deviceType: 'cdrom' } as const;
  const volumes = row.volumes.map((source) => volumeOf(source, { ...next(), readOnly: row.readOnly }));
  const bootVolume = volumeOf(nbd, { device: root.device, bus, boot: true });
  const rowPlan: DiskPlan = {
    root: row.root === 'disk' ? root : row.root === 'cdrom' ? { ...root, deviceType: 'cdrom' } : null,
    // IDE has four places, and the CD may need one.
    ephemerals: bus === 'ide' ? [] : plan.ephemerals.map((disk) => ({ ...disk, ...kept, ...ephemeral })),
    swap: bus === 'ide' || plan.swap === null ? null : { ...plan.swap, ...kept, ...swap },
    volumes: bus === 'ide' ? [] : [...(row.root === 'boot volume' ? [bootVolume] : []), ...volumes],
    config: configOf(row, { ...cdromDevice }, next),
    bootFiles: bootFiles.slice(0, ['none', 'kernel', 'kernel and ramdisk'].indexOf(row.kernel)),
  };
  const properties = {
    ...row.devices,
    ...(machine && { hw_machine_type: machine }),
    ...(firmware && { hw_firmware_type: firmware }),
  };
  const settings = { ...description.settings, cpuMode: row.cpuMode, rbdUser: row.rbdUser };
  return {
    ...description,
    virtType: row.virtType,
    cacheMode: row.cacheMode,
    settings: row.rbdUser === null ? { ...settings, rbdSecretUuid: null, imagesRbdCephConf: null } : settings,
    image: imageWith(properties),
    spec: { ...spec, osType: row.osType, interfaces: row.interfaces },
    plan: rowPlan,
  };
}

function configOf(
  { config }: Machine,
  cdrom: { readonly device: string; readonly bus: DiskBus; readonly deviceType: 'cdrom' },
  next: () => { readonly device: string; readonly bus: DiskBus },
): DiskPlan['config'] {
  if (config === 'none') return null;
  const file = { kind: 'config', name: 'disk.config', format: 'raw' } as const;
  return config === 'cdrom' ? { ...file, ...cdrom } : { ...file, ...next(), deviceType: 'disk' };
}

let folder: string;
before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-domain-xml-');
});
after(async () => {
  await rm(folder, { recursive: true, force: true });
  await closeLibvirt();
});

/** Throws with what xmllint says of the first files that the schema refuses. One process reads all files. */
async function validate(documents: readonly string[], schema = `${schemas}/domain.rng`): Promise<void> {
  const files = documents.map((_, index) => join(folder, `${index}.xml`));
  await Promise.all(documents.map((text, index) => writeFile(files[index] ?? '', text)));
  await runProgram('xmllint', ['--noout', '--relaxng', schema, ...files], { timeoutMs: 120_000 });
}

test('libvirt’s own schema accepts the XML of every combination of three of a machine’s parts', async () => {
  const rows = everyThree(machines).filter(isPossible);
  assert.ok(rows.length > 100, String(rows.length));
  await validate(rows.map((row) => domainXml(machineOf(row))));
});

test('the schema is really asked: it refuses a disk on no bus that there is', async () => {
  const xml = domainXml(description).replace("bus='virtio'", "bus='nothing'");
  await assert.rejects(validate([xml]), /fails to validate|Invalid attribute bus/);
});

test('the schema accepts whatever texts a tenant chose', async () => {
  const hostile = `a&b<c>"d"'e'</name><x/>]]>`;
  await validate([
    domainXml({
      ...description,
      directory: `/var/lib/${hostile}`,
      flavor: { ...description.flavor, name: hostile },
      image: imageWith({}, hostile),
      spec: { ...spec, project: hostile, user: hostile, kernelCommandLine: hostile },
      plan: { ...plan, bootFiles },
    }),
  ]);
});

test('the schema accepts a container, with and without cards', async () => {
  const container: DomainDescription = { ...description, virtType: 'lxc' };
  await validate([container, { ...container, spec: { ...spec, interfaces: cards } }].map(domainXml));
});

test('the schema accepts User Mode Linux, given the one word back that libvirt dropped from it', async () => {
  await cp(schemas, join(folder, 'schemas'), { recursive: true });
  const file = join(folder, 'schemas', 'domaincommon.rng');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replaceAll('<value>hvm</value>', '<choice><value>hvm</value><value>uml</value></choice>'));
  const xml = domainXml(umlDescription());
  assert.match(xml, /<type>uml<\/type>\s*<kernel>\/usr\/bin\/linux<\/kernel>\s*<root>\/dev\/ubda<\/root>/);
  assert.match(xml, /<target dev='ubda' bus='uml'\/>/);
  await validate([xml], join(folder, 'schemas', 'domain.rng'));
});

function umlDescription(): DomainDescription {
  const uml = (letter: string) => ({ format: 'raw', device: `ubd${letter}`, bus: 'uml' }) as const;
  const volume: PlannedVolume = volumeOf({ block: '/dev/sdz' }, { device: 'ubde', bus: uml('e').bus });
  return {
    ...description,
    virtType: 'uml',
    spec: { ...spec, interfaces: cards },
    plan: {
      root: plan.root && { ...plan.root, ...uml('a') },
      ephemerals: plan.ephemerals.map((disk) => ({ ...disk, ...uml('b') })),
      swap: plan.swap && { ...plan.swap, ...uml('c') },
      volumes: [volume],
      config: plan.config && { ...plan.config, ...uml('d'), deviceType: 'disk' },
      bootFiles: [],
    },
  };
}

test('a real libvirt takes machines of every kind', async (t) => {
  if (!(await isThere('/run/libvirt/libvirt-sock'))) return t.skip('no libvirtd runs on this machine');
  const few = everyThree({ ...machines, virtType: ['qemu'], cpuMode: [null, 'none', 'maximum'] })
    .filter(isPossible)
    .slice(0, 24);
  for (const row of few) {
    const id = randomUUID();
    const claim = { instanceId: id, operationId: randomUUID() };
    const given = machineOf(row);
    t.after(() => removeDomain(systemUri, claim));
    await defineDomain(systemUri, domainXml({ ...given, claim, spec: { ...given.spec, id } }), claim);
    await removeDomain(systemUri, claim);
  }
});
