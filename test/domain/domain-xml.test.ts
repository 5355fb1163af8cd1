import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { DiskPlan } from '../../domain/disk-plan.ts';
import { type DomainXmlInput, domainNameOf, domainXml } from '../../domain/domain-xml.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { ImageDescription } from '../../domain/image.ts';
import type { InstanceSpec } from '../../domain/spec.ts';

const id = '3f2a9c04-1111-4222-8333-444455556666';

const spec: InstanceSpec = {
  id,
  name: 'web-1',
  project: 'shop',
  user: 'ann',
  availabilityZone: '',
  hostname: 'web-1',
  flavor: 'm1.small',
  configDrive: true,
  metadata: {},
  sshKeys: [],
  interfaces: [],
  boot: 'running',
  onFailure: 'undo',
};

const plan: DiskPlan = {
  root: { kind: 'root', name: 'disk', format: 'qcow2', device: 'vda', bus: 'virtio', sizeBytes: 2 ** 30 },
  ephemerals: [
    {
      kind: 'ephemeral',
      name: 'disk.local',
      format: 'raw',
      device: 'vdb',
      bus: 'virtio',
      sizeBytes: 2 ** 30,
      fileSystem: 'ext4',
      label: 'ephemeral0',
    },
  ],
  swap: { kind: 'swap', name: 'disk.swap', format: 'raw', device: 'vdc', bus: 'virtio', sizeBytes: 2 ** 26 },
  config: { kind: 'config', name: 'disk.config', format: 'raw', device: 'hda', bus: 'ide', deviceType: 'cdrom' },
  bootFiles: [],
};

const input: DomainXmlInput = {
  claim: { instanceId: id, operationId: '9a8b7c6d-1111-4222-8333-444455556666' },
  spec,
  flavor: { name: 'm1.small', vcpus: 1, memoryMb: 2048, rootGb: 20, ephemeralGb: 0, swapMb: 0 },
  plan,
  directory: `/var/lib/everboot/instances/${id}`,
  settings: {
    imagesVolumeGroup: null,
    imagesRbdPool: null,
    imagesRbdCephConf: null,
    rbdUser: null,
    rbdSecretUuid: null,
  },
  virtType: 'qemu',
  image: imageWith({}),
  cacheMode: 'none',
};

function imageWith(properties: Record<string, string>, title = 'debian-12'): ImageDescription {
  return {
    reference: { glance: '5e0e6a04-1111-4222-8333-444455556666' },
    title,
    format: 'qcow2',
    sizeBytes: null,
    digest: null,
    minDiskGb: 0,
    minRamMb: 0,
    properties,
  };
}

const bootFiles: DiskPlan['bootFiles'] = [
  { kind: 'kernel', name: 'kernel' },
  { kind: 'ramdisk', name: 'ramdisk' },
];
const everyProperty = {
  hw_machine_type: 'q35',
  hw_firmware_type: 'uefi',
  hw_vif_model: 'e1000',
  hw_qemu_guest_agent: 'yes',
  hw_rng_model: 'virtio',
};
const onScsi: DiskPlan = { ...plan, root: plan.root && { ...plan.root, device: 'sda', bus: 'scsi' } };
const configOnDisk: DiskPlan = {
  ...plan,
  config: { kind: 'config', name: 'disk.config', format: 'raw', device: 'vdd', bus: 'virtio', deviceType: 'disk' },
};
const interfaces: InstanceSpec['interfaces'] = [
  { type: 'network', source: 'default' },
  { type: 'bridge', source: 'br0', mac: '52:54:00:12:34:56', model: 'e1000' },
];
const hostile = `a&b<c>"d"'e'</name><x/>]]>`;

const table: Readonly<Record<string, DomainXmlInput>> = {
  'an instance as most are': input,
  'an instance under KVM': { ...input, virtType: 'kvm', cacheMode: 'writeback' },
  'a direct kernel boot': { ...input, plan: { ...plan, bootFiles } },
  'a kernel without a ramdisk': { ...input, plan: { ...plan, bootFiles: bootFiles.slice(0, 1) } },
  'network cards': { ...input, spec: { ...spec, interfaces } },
  'every image property': { ...input, image: imageWith(everyProperty), spec: { ...spec, interfaces } },
  'a root on SCSI': { ...input, plan: onScsi },
  'a config drive that is a disk': { ...input, plan: configOnDisk },
  'no disk at all': { ...input, image: null, plan: { ...plan, root: null, ephemerals: [], swap: null, config: null } },
  'a Windows guest': { ...input, image: imageWith({ os_type: 'windows' }) },
  'hostile texts in every place': {
    ...input,
    directory: `/var/lib/${hostile}`,
    flavor: { ...input.flavor, name: hostile },
    image: imageWith({}, hostile),
    spec: { ...spec, project: hostile, user: hostile, kernelCommandLine: hostile },
    plan: { ...plan, bootFiles },
  },
};

const run = promisify(execFile);
let folder: string;
let hasValidator: boolean;
before(async () => {
  hasValidator = await run('xmllint', ['--version']).then(
    () => true,
    () => false,
  );
  folder = await mkdtemp(join(tmpdir(), 'everboot-domain-xml-'));
});
after(async () => {
  await rm(folder, { recursive: true, force: true });
});

for (const [title, row] of Object.entries(table)) {
  test(`libvirt’s own schema accepts ${title}`, async (t) => {
    if (!hasValidator) return t.skip('xmllint is not installed (libxml2-utils)');
    const file = join(folder, `${title.replace(/\W/g, '-')}.xml`);
    await writeFile(file, domainXml(row));
    await run('virt-xml-validate', [file, 'domain'], { timeout: 20_000 });
  });
}

test('every disk says its format, and only a CD is read only', () => {
  const xml = domainXml(input);
  assert.equal(xml.match(/<disk /g)?.length, 4);
  assert.equal(xml.match(/<driver name='qemu' type='(raw|qcow2)' cache='none'\/>/g)?.length, 4);
  assert.equal(xml.match(/<readonly\/>/g)?.length, 1);
  assert.doesNotMatch(domainXml({ ...input, plan: configOnDisk }), /readonly/);
});

test('the metadata carries the claim', () => {
  const { instanceId, operationId } = input.claim;
  assert.ok(domainXml(input).includes(`<everboot:claim instance='${instanceId}' operation='${operationId}'/>`));
});

test('the kernel’s command line is the spec’s, else the image’s, else Nova’s default', () => {
  const kernelBoot = { ...input, plan: { ...plan, bootFiles } };
  const image = imageWith({ os_command_line: 'from the image' });
  const fromSpec = { ...kernelBoot, image, spec: { ...spec, kernelCommandLine: 'from the spec' } };
  assert.match(domainXml(fromSpec), /<cmdline>from the spec</);
  assert.match(domainXml({ ...kernelBoot, image }), /<cmdline>from the image</);
  assert.match(domainXml(kernelBoot), /<cmdline>root=\/dev\/vda console=ttyS0</);
  assert.doesNotMatch(domainXml({ ...input, image }), /cmdline/);
});

test('a Windows guest’s clock is in local time', () => {
  assert.match(domainXml({ ...input, spec: { ...spec, osType: 'windows' } }), /offset='localtime'/);
  assert.match(domainXml(input), /offset='utc'/);
});

test('two instances of one name have different domain names', () => {
  assert.equal(domainNameOf(spec), 'web-1-3f2a9c04');
});

test('a text with a control character is refused', () => {
  for (const text of ['a\u0000b', 'a\nb', 'a\u001bb', 'a\uFFFFb', 'a\uD800b']) {
    assert.throws(
      () => domainXml({ ...input, spec: { ...spec, project: text } }),
      (error) => error instanceof EverbootFailure && error.code === 'SpecInvalid',
    );
  }
});

for (const [name, value] of [
  ['hw_machine_type', 'isapc'],
  ['hw_vif_model', 'virtio,id=x'],
  ['hw_firmware_type', 'coreboot'],
  ['hw_qemu_guest_agent', 'perhaps'],
  ['hw_rng_model', 'usb'],
] as const) {
  test(`an unknown value of ${name} is refused by name`, () => {
    assert.throws(
      () => domainXml({ ...input, image: imageWith({ [name]: value }) }),
      new RegExp(`property ${name} is`),
    );
  });
}
