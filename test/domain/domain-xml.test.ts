import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DiskPlan } from '../../domain/disk-plan.ts';
import type { DomainDescription } from '../../domain/domain-xml/domain-description.ts';
import { domainNameOf, domainXml } from '../../domain/domain-xml.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { bootFiles, description, imageWith, plan, spec, volumeOf } from './domain-xml-fixtures.ts';

const kernelBoot = { ...description, plan: { ...plan, bootFiles } };
const nbd = { nbd: { host: '127.0.0.1', port: 10809, export: 'root' } };

/** The `<disk>` elements, in order. */
function disksOf(xml: string): string[] {
  return [...xml.matchAll(/<disk [\s\S]*?<\/disk>/g)].map(([disk]) => disk);
}

function withPlan(changes: Partial<DiskPlan>, properties: Record<string, string> = {}): DomainDescription {
  return { ...description, image: imageWith(properties), plan: { ...plan, ...changes } };
}

test('every disk says its format, and only a CD is read only', () => {
  const xml = domainXml(description);
  assert.equal(disksOf(xml).length, 4);
  assert.equal(xml.match(/<driver name='qemu' type='(raw|qcow2)' cache='none'\/>/g)?.length, 4);
  assert.equal(xml.match(/<readonly\/>/g)?.length, 1);
});

test('disks come in Nova’s order: root, ephemerals, swap, volumes, config drive', () => {
  const volumes = [volumeOf({ block: '/dev/sdz' }), volumeOf(nbd, { device: 'vde' })];
  const names = disksOf(domainXml(withPlan({ volumes }))).map((disk) => /target dev='(\w+)'/.exec(disk)?.[1]);
  assert.deepEqual(names, ['vda', 'vdb', 'vdc', 'vdd', 'vde', 'hda']);
});

test('a volume is raw, past the host’s memory, and read only where the spec says so', () => {
  const [block, network] = disksOf(
    domainXml({
      ...withPlan({
        root: null,
        ephemerals: [],
        swap: null,
        volumes: [volumeOf({ block: '/dev/sdz' }, { readOnly: true }), volumeOf(nbd)],
      }),
      cacheMode: 'writeback',
    }),
  );
  assert.match(block ?? '', /<driver name='qemu' type='raw' cache='none' io='native'\/>/);
  assert.match(block ?? '', /<source dev='\/dev\/sdz'\/>[\s\S]*<readonly\/>/);
  assert.match(network ?? '', /<driver name='qemu' type='raw' cache='none'\/>/);
  assert.match(network ?? '', /protocol='nbd' name='root'>\s*<host name='127.0.0.1' port='10809'\/>/);
  assert.doesNotMatch(network ?? '', /readonly/);
});

test('the guest boots from its root disk, from a root that is a CD, or from the volume that takes its place', () => {
  const booting = (changes: Partial<DiskPlan>) =>
    disksOf(domainXml(withPlan(changes)))
      .filter((disk) => disk.includes("<boot order='1'/>"))
      .map((disk) => /target dev='(\w+)'/.exec(disk)?.[1]);
  assert.deepEqual(booting({}), ['vda']);
  const iso = { ...plan.root, device: 'hdb', bus: 'ide', deviceType: 'cdrom' } as DiskPlan['root'];
  assert.deepEqual(booting({ root: iso }), ['hdb']);
  const volumes = [volumeOf({ block: '/dev/sdz' }), volumeOf(nbd, { device: 'vde', boot: true })];
  assert.deepEqual(booting({ root: null, volumes }), ['vde']);
});

test('the kernel’s command line is the spec’s, else the image’s, else Nova’s default', () => {
  const image = imageWith({ os_command_line: 'from the image' });
  const fromSpec = { ...kernelBoot, image, spec: { ...spec, kernelCommandLine: 'from the spec' } };
  assert.match(domainXml(fromSpec), /<cmdline>from the spec</);
  assert.match(domainXml({ ...kernelBoot, image }), /<cmdline>from the image</);
  const nova = 'root=/dev/vda console=tty0 console=ttyS0 console=hvc0';
  assert.ok(domainXml(kernelBoot).includes(`<cmdline>${nova} no_timer_check<`));
  assert.ok(domainXml({ ...kernelBoot, virtType: 'kvm' }).includes(`<cmdline>${nova}<`));
  assert.doesNotMatch(domainXml({ ...description, image }), /cmdline/);
});

test('the default command line names the volume that the guest boots from', () => {
  const volumes = [volumeOf(nbd, { device: 'sda', bus: 'scsi', boot: true })];
  assert.match(domainXml(withPlan({ root: null, volumes, bootFiles })), /<cmdline>root=\/dev\/sda /);
});

test('more than seven disks on SCSI stay on the one controller', () => {
  const onScsi = (letter: string) => volumeOf({ block: '/dev/sdz' }, { device: `sd${letter}`, bus: 'scsi' });
  const xml = domainXml(withPlan({ root: null, volumes: [...'abcdefghi'].map(onScsi) }));
  const units = [...xml.matchAll(/<address type='drive' controller='0' unit='(\d)'\/>/g)].map(([, unit]) => unit);
  assert.deepEqual(units, [...'012345678']);
  assert.equal(xml.match(/<controller /g)?.length, 1);
});

test('the processor is the option’s, else the host’s model under KVM, else all that QEMU can emulate', () => {
  const cpuOf = (changes: Partial<DomainDescription>, cpuMode: DomainDescription['settings']['cpuMode'] = null) => {
    const xml = domainXml({ ...description, ...changes, settings: { ...description.settings, cpuMode } });
    return /<cpu mode='([a-z-]+)'/.exec(xml)?.[1];
  };
  assert.equal(cpuOf({ virtType: 'kvm' }), 'host-model');
  assert.equal(cpuOf({ virtType: 'qemu' }), 'maximum');
  assert.equal(cpuOf({ virtType: 'kvm' }, 'host-passthrough'), 'host-passthrough');
  assert.equal(cpuOf({ virtType: 'kvm' }, 'none'), undefined);
  assert.equal(cpuOf({ virtType: 'lxc' }), undefined);
});

test('a Windows guest’s clock is in local time, and under KVM it has what Windows knows', () => {
  const windows: DomainDescription = { ...description, spec: { ...spec, osType: 'windows' } };
  assert.match(domainXml(windows), /offset='localtime'/);
  assert.match(domainXml({ ...windows, virtType: 'kvm' }), /<hyperv>[\s\S]*hypervclock/);
  assert.match(domainXml({ ...description, image: imageWith({ os_type: 'Windows' }) }), /offset='localtime'/);
  assert.match(domainXml(description), /offset='utc'/);
  assert.doesNotMatch(domainXml(description), /hyperv/);
});

test('a machine with UEFI takes no firmware that wants Microsoft’s signature', () => {
  const xml = domainXml({ ...description, image: imageWith({ hw_firmware_type: 'uefi' }) });
  assert.match(xml, /<os firmware='efi'>[\s\S]*<feature enabled='no' name='secure-boot'\/>/);
  assert.doesNotMatch(domainXml({ ...description, image: imageWith({ hw_firmware_type: 'bios' }) }), /efi/);
});

test('every guest has random bytes, and an agent’s channel where its image asks for one', () => {
  const agent = /<target type='virtio' name='org.qemu.guest_agent.0'\/>/;
  assert.match(domainXml(description), /<rng model='virtio'>/);
  assert.doesNotMatch(domainXml(description), agent);
  assert.match(domainXml({ ...description, image: imageWith({ hw_qemu_guest_agent: 'yes' }) }), agent);
});

test('a card is the spec’s model, else the image’s, else virtio; a tap device stays its maker’s', () => {
  const interfaces = [
    { type: 'network', source: 'default', model: 'e1000' },
    { type: 'tap', source: 'tap0' },
  ] as const;
  const cards = { ...spec, interfaces };
  const xml = domainXml({ ...description, spec: cards, image: imageWith({ hw_vif_model: 'rtl8139' }) });
  assert.match(xml, /<interface type='network'>\s*<source network='default'\/>\s*<model type='e1000'\/>/);
  assert.match(xml, /<interface type='ethernet'>\s*<target dev='tap0' managed='no'\/>\s*<model type='rtl8139'\/>/);
  assert.match(domainXml({ ...description, spec: cards }), /<model type='virtio'\/>/);
});

test('the metadata says whose the domain is, and carries the claim', () => {
  const { instanceId, operationId } = description.claim;
  const xml = domainXml(description);
  assert.ok(xml.includes(`<everboot:claim instance='${instanceId}' operation='${operationId}'/>`));
  for (const words of ['name>web-1<', 'flavor>m1.small<', 'image>debian-12<', "owner project='shop' user='ann'"]) {
    assert.ok(xml.includes(`<everboot:${words}`), words);
  }
});

test('two instances of one name have different domain names', () => {
  assert.equal(domainNameOf(spec), 'web-1-3f2a9c04');
});

test('a container has the unpacked root and none of the disks', () => {
  const xml = domainXml({ ...description, virtType: 'lxc' });
  const root = `<source dir='${description.directory}/rootfs'/>\\s*<target dir='/'/>`;
  assert.match(xml, new RegExp(`<filesystem type='mount'>\\s*${root}`));
  assert.match(xml, /<type>exe<\/type>\s*<init>\/sbin\/init<\/init>/);
  assert.match(xml, /<console type='pty'>\s*<target type='lxc' port='0'\/>/);
  assert.match(xml, /<capabilities policy='default'>\s*<linux_immutable state='off'\/>/);
  assert.deepEqual(disksOf(xml), []);
});

test('a text with a control character is refused', () => {
  for (const text of ['a\u0000b', 'a\nb', 'a\u001bb', 'a\uFFFFb', 'a\uD800b']) {
    assert.throws(
      () => domainXml({ ...description, spec: { ...spec, project: text } }),
      (error) => error instanceof EverbootFailure && error.code === 'SpecInvalid',
    );
  }
});

for (const [name, value, expected] of [
  ['hw_machine_type', 'isapc', 'pc, q35 or a version'],
  ['hw_vif_model', 'virtio,id=x', 'virtio, e1000'],
  ['hw_firmware_type', 'coreboot', 'bios or uefi'],
  ['hw_qemu_guest_agent', 'perhaps', 'yes or no'],
  ['hw_rng_model', 'usb', 'virtio'],
] as const) {
  test(`an unknown value of ${name} is refused, saying name, value and what is expected`, () => {
    assert.throws(
      () => domainXml({ ...description, image: imageWith({ [name]: value }) }),
      (error) =>
        error instanceof EverbootFailure &&
        error.code === 'HostUnsuitable' &&
        error.message.includes(`property ${name} is "${value}"; expected ${expected}`),
    );
  });
}
