import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EverbootFailure, type FailureCode } from '../../domain/failures.ts';
import { checkFlavorHoldsImage } from '../../domain/flavor-limits.ts';
import type { ImageDescription } from '../../domain/image.ts';
import { type DiskPlanInput, planDisks } from '../../domain/plan-disks.ts';

const gibibyte = 2 ** 30;

const flavor = { name: 'm1.test', vcpus: 1, memoryMb: 512, rootGb: 10, ephemeralGb: 2, swapMb: 64 };

function image(changes: Partial<ImageDescription> = {}): ImageDescription {
  return {
    reference: { glance: '5a36b1a4-2f0e-4c7c-8a56-6b1c2c4f2d11' },
    title: 'debian-12',
    format: 'qcow2',
    sizeBytes: 3e8,
    digest: null,
    minDiskGb: 0,
    minRamMb: 0,
    properties: {},
    ...changes,
  };
}

function plan(changes: Partial<DiskPlanInput> = {}, settings: Partial<DiskPlanInput['settings']> = {}) {
  return planDisks({
    spec: { configDrive: true },
    flavor,
    rootImage: image(),
    hasKernel: false,
    hasRamdisk: false,
    osType: 'linux',
    suffix: '',
    ...changes,
    settings: {
      imagesType: 'default',
      useCowImages: true,
      virtType: 'auto',
      defaultEphemeralFormat: null,
      virtMkfs: [],
      forceConfigDrive: false,
      configDriveFormat: 'iso9660',
      ...settings,
    },
  });
}

function devices({ root, ephemerals, swap, config }: ReturnType<typeof plan>): string[] {
  return [root, ...ephemerals, swap, config].flatMap((disk) =>
    disk ? [`${disk.name} ${disk.bus} ${disk.device}`] : [],
  );
}

function failsWith(code: FailureCode, words: RegExp) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code && words.test(error.message);
}

test('disks are named and attached as Nova does: root, ephemeral, swap, and the config drive as a CD-ROM', () => {
  const disks = plan();
  assert.deepEqual(devices(disks), [
    'disk virtio vda',
    'disk.local virtio vdb',
    'disk.swap virtio vdc',
    'disk.config ide hda',
  ]);
  assert.equal(disks.root?.sizeBytes, 10 * gibibyte);
  assert.deepEqual(
    disks.ephemerals.map(({ sizeBytes, fileSystem, label }) => ({ sizeBytes, fileSystem, label })),
    [{ sizeBytes: 2 * gibibyte, fileSystem: 'ext4', label: 'ephemeral0' }],
  );
  assert.equal(disks.swap?.sizeBytes, 64 * 2 ** 20);
  assert.equal(disks.config?.deviceType, 'cdrom');
});

test('the backend decides the format of every disk but the config drive', () => {
  const cases = [
    ['default', true, 'qcow2'],
    ['default', false, 'raw'],
    ['qcow2', false, 'qcow2'],
    ['raw', true, 'raw'],
    ['flat', true, 'raw'],
  ] as const;
  for (const [imagesType, useCowImages, format] of cases) {
    const { root, ephemerals, swap, config } = plan({}, { imagesType, useCowImages });
    const formats = [root?.format, ephemerals[0]?.format, swap?.format, config?.format];
    assert.deepEqual(formats, [format, format, format, 'raw'], `${imagesType}, use_cow_images ${useCowImages}`);
  }
});

test('a vfat config drive is a disk, and takes the next name after the others', () => {
  const disks = plan({}, { configDriveFormat: 'vfat' });
  assert.equal(disks.config?.deviceType, 'disk');
  assert.deepEqual(devices(disks).at(-1), 'disk.config virtio vdd');
});

test('a config drive is made when the spec, the host or the image wants one', () => {
  const spec = { configDrive: false };
  assert.equal(plan({ spec }).config, null);
  assert.notEqual(plan({ spec }, { forceConfigDrive: true }).config, null);
  assert.notEqual(plan({ spec, rootImage: image({ properties: { img_config_drive: 'mandatory' } }) }).config, null);
  assert.equal(plan({ spec, rootImage: image({ properties: { img_config_drive: 'optional' } }) }).config, null);
});

test('a size of 0 means no ephemeral disk and no swap, and a root as large as its image', () => {
  const disks = plan({ flavor: { ...flavor, rootGb: 0, ephemeralGb: 0, swapMb: 0 } });
  assert.deepEqual(devices(disks), ['disk virtio vda', 'disk.config ide hda']);
  assert.equal(disks.root?.sizeBytes, null);
});

test('without an image there is no root disk, and its device stays free', () => {
  const disks = plan({ rootImage: null });
  assert.equal(disks.root, null);
  assert.deepEqual(devices(disks), ['disk.local virtio vdb', 'disk.swap virtio vdc', 'disk.config ide hda']);
});

test('an ISO image is attached as a CD-ROM, before the config drive', () => {
  const disks = plan({ rootImage: image({ format: 'iso' }) });
  assert.equal(disks.root?.deviceType, 'cdrom');
  assert.deepEqual(devices(disks), [
    'disk ide hda',
    'disk.local virtio vda',
    'disk.swap virtio vdb',
    'disk.config ide hdb',
  ]);
});

test('a rescue makes its own root disk and config drive only, and the root is as large as its image', () => {
  const disks = plan({ suffix: '.rescue', hasKernel: true, hasRamdisk: true }, { configDriveFormat: 'vfat' });
  assert.deepEqual(devices(disks), ['disk.rescue virtio vda', 'disk.config.rescue virtio vdc']);
  assert.equal(disks.root?.sizeBytes, null);
  assert.deepEqual(
    disks.bootFiles.map(({ name }) => name),
    ['kernel.rescue', 'ramdisk.rescue'],
  );
});

test('mappings share out the flavor’s ephemeral disk and swap, each with its name and label', () => {
  const spec = {
    configDrive: false,
    ephemerals: [
      { sizeGb: 1, tag: 'scratch' },
      { sizeGb: 1, fileSystem: 'xfs' },
    ],
    swap: { sizeMb: 32, tag: 'paging' },
  };
  const { ephemerals, swap } = plan({ spec });
  assert.deepEqual(
    ephemerals.map(({ name, sizeBytes, fileSystem, label, osType, tag }) => [
      name,
      sizeBytes / gibibyte,
      fileSystem,
      label,
      osType,
      tag,
    ]),
    [
      ['disk.eph0', 1, 'ext4', 'ephemeral0', 'linux', 'scratch'],
      ['disk.eph1', 1, 'xfs', 'ephemeral1', 'linux', undefined],
    ],
  );
  assert.deepEqual([swap?.name, swap?.sizeBytes, swap?.tag], ['disk.swap', 32 * 2 ** 20, 'paging']);
});

test('mappings ask for no more than the flavor has (InvalidBDMEphemeralSize, InvalidBDMSwapSize)', () => {
  const spec = { configDrive: false, ephemerals: [{ sizeGb: 1 }, { sizeGb: 2 }], swap: { sizeMb: 65 } };
  assert.throws(
    () => plan({ spec }),
    (error) =>
      failsWith('SpecInvalid', /larger disks than its flavor/)(error) &&
      /ephemerals: 3 GiB together, .* 2 GiB\nswap\.sizeMb: 65 MiB, .* 64 MiB$/.test(
        (error as EverbootFailure).problems.join('\n'),
      ),
  );
  assert.equal(plan({ spec: { ...spec, ephemerals: [{ sizeGb: 2 }], swap: { sizeMb: 64 } } }).ephemerals.length, 1);
});

test('a volume to boot from takes the root’s place; of an image beside it only the properties count', () => {
  const source = { nbd: { host: 'storage-1', port: 10809, export: 'root' } };
  const spec = { configDrive: false, volumes: [{ source, boot: true, tag: 'root' }] };
  const large = image({
    minDiskGb: 100,
    format: 'raw',
    sizeBytes: 100 * gibibyte,
    properties: { hw_disk_bus: 'scsi' },
  });
  const { root, volumes } = plan({ spec, rootImage: large });
  assert.equal(root, null);
  assert.deepEqual(volumes, [
    {
      kind: 'volume',
      source,
      bus: 'scsi',
      device: 'sda',
      deviceType: 'disk',
      boot: true,
      readOnly: false,
      tag: 'root',
    },
  ]);
  const hungry = image({ minRamMb: 513 });
  assert.throws(() => plan({ spec, rootImage: hungry }), failsWith('FlavorMemoryTooSmall', /513 MiB/));
});

test('a volume is written to unless it is said to be read only, or a CD-ROM', () => {
  const source = { rbd: { pool: 'volumes', image: 'data' } };
  const volumes = [{ source }, { source, readOnly: true }, { source, deviceType: 'cdrom' as const }];
  const planned = plan({ spec: { configDrive: false, volumes } }).volumes;
  assert.deepEqual(
    planned?.map(({ readOnly }) => readOnly),
    [false, true, true],
  );
});

test('a rescue leaves volumes, ephemeral disks and swap alone', () => {
  const volumes = [{ source: { block: '/dev/disk/by-id/root' }, boot: true }];
  const spec = { configDrive: false, volumes, ephemerals: [{ sizeGb: 1 }], swap: { sizeMb: 64 } };
  const disks = plan({ spec, suffix: '.rescue' });
  assert.deepEqual(devices(disks), ['disk.rescue virtio vda']);
  assert.deepEqual([disks.volumes, disks.ephemerals, disks.swap], [[], [], null]);
});

test('a guest without devices of its own choice is refused a choice', () => {
  for (const virtType of ['lxc', 'uml'] as const) {
    const named = { configDrive: false, swap: { sizeMb: 1, device: 'vdb' } };
    assert.throws(() => plan({ spec: named }, { virtType }), failsWith('HostUnsuitable', /swap\.device is vdb/));
    const onBus = { configDrive: false, swap: { sizeMb: 1, bus: 'scsi' as const } };
    assert.throws(() => plan({ spec: onBus }, { virtType }), failsWith('HostUnsuitable', /swap\.bus is "scsi"/));
  }
});

test('a value of img_config_drive that is not known is refused by name', () => {
  const rootImage = image({ properties: { img_config_drive: 'always' } });
  assert.throws(() => plan({ rootImage }), failsWith('HostUnsuitable', /img_config_drive is "always".*mandatory/));
});

test('the file system is the mapping’s, else the host’s default, else the os type’s', () => {
  const spec = { configDrive: false, ephemerals: [{ sizeGb: 1, fileSystem: 'btrfs' }, { sizeGb: 1 }] };
  const systems = (osType: string, defaultEphemeralFormat: string | null) =>
    plan({ spec, osType }, { defaultEphemeralFormat }).ephemerals.map(({ fileSystem }) => fileSystem);
  assert.deepEqual(systems('windows', null), ['btrfs', 'ntfs']);
  assert.deepEqual(systems('windows', 'ext3'), ['btrfs', 'ext3']);
  assert.equal(plan({ osType: 'windows' }, { defaultEphemeralFormat: 'xfs' }).ephemerals[0]?.fileSystem, 'xfs');
});

test('a disk that its file system cannot fill is refused, unless the host formats it by a command of its own', () => {
  const huge = { flavor: { ...flavor, ephemeralGb: 2048 }, osType: 'default' };
  assert.throws(() => plan(huge), failsWith('SpecInvalid', /ephemeral disk 0: .*too large for vfat/));
  assert.equal(plan({ ...huge, flavor: { ...flavor, ephemeralGb: 2047 } }).ephemerals.length, 1);
  assert.equal(plan(huge, { virtMkfs: ['default=mkfs.ext4 %(target)s'] }).ephemerals.length, 1);
});

test('buses that the image asks for are used, and unknown ones are refused by name', () => {
  const scsi = plan({ rootImage: image({ properties: { hw_disk_bus: 'scsi', hw_cdrom_bus: 'sata' } }) });
  assert.deepEqual(devices(scsi), [
    'disk scsi sda',
    'disk.local scsi sdb',
    'disk.swap scsi sdc',
    'disk.config sata sdd',
  ]);
  const q35 = plan({ rootImage: image({ properties: { hw_machine_type: 'pc-q35-7.2' } }) });
  assert.deepEqual(devices(q35).at(-1), 'disk.config sata sda');
  const unknown = image({ properties: { hw_disk_bus: 'toaster' } });
  assert.throws(() => plan({ rootImage: unknown }), failsWith('HostUnsuitable', /hw_disk_bus is "toaster".*virtio/));
});

test('the os type decides the file system, in any case of letters, and an unknown one is refused', () => {
  assert.equal(plan({ osType: 'Windows' }).ephemerals[0]?.fileSystem, 'ntfs');
  assert.equal(plan({ osType: 'default' }).ephemerals[0]?.fileSystem, 'vfat');
  assert.throws(() => plan({ osType: 'beos' }), failsWith('SpecInvalid', /"beos".*linux, windows, default/));
});

test('kernel and ramdisk are files of their own, and a ramdisk needs a kernel', () => {
  assert.deepEqual(plan({ hasKernel: true, hasRamdisk: true }).bootFiles, [
    { kind: 'kernel', name: 'kernel' },
    { kind: 'ramdisk', name: 'ramdisk' },
  ]);
  assert.throws(() => plan({ hasRamdisk: true }), failsWith('SpecInvalid', /kernel/));
});

test('an image that asks for more than the flavor has is refused', () => {
  const large = image({ minDiskGb: 11 });
  assert.throws(() => plan({ rootImage: large }), failsWith('FlavorDiskTooSmall', /11 GiB.*10 GiB/));
  assert.throws(() => plan({ rootImage: image({ minRamMb: 513 }) }), failsWith('FlavorMemoryTooSmall', /513 MiB/));
  assert.equal(plan({ rootImage: large, flavor: { ...flavor, rootGb: 0 } }).root?.sizeBytes, null);
  assert.equal(plan({ rootImage: large, suffix: '.rescue' }).root?.sizeBytes, null);
});

test('a raw image that is larger than the root disk is refused before it is fetched', () => {
  const sizeBytes = 10 * gibibyte + 1;
  assert.throws(
    () => plan({ rootImage: image({ format: 'raw', sizeBytes }) }),
    failsWith('FlavorDiskTooSmall', new RegExp(`${10 * gibibyte}.*${sizeBytes}`)),
  );
  assert.doesNotThrow(() => plan({ rootImage: image({ format: 'qcow2', sizeBytes }) }));
});

test('a root disk holds an image of its own size, and not a byte more', () => {
  assert.equal(checkFlavorHoldsImage(gibibyte, gibibyte), null);
  assert.equal(checkFlavorHoldsImage(null, 5 * gibibyte), null);
  assert.match(checkFlavorHoldsImage(gibibyte, gibibyte + 1) ?? '', /1073741824 bytes.*1073741825 bytes/);
});

test('logical volumes and Ceph images are raw and outside the directory; the config drive stays a file', () => {
  for (const imagesType of ['lvm', 'rbd'] as const) {
    const { root, config } = plan({}, { imagesType });
    assert.deepEqual([root?.format, root?.storage], ['raw', imagesType]);
    assert.equal(config?.storage, undefined);
  }
});

test('disks and CD-ROMs on IDE share its four places', () => {
  const ide = image({ properties: { hw_disk_bus: 'ide' } });
  assert.deepEqual(devices(plan({ rootImage: ide })).at(-1), 'disk.config ide hdd');
});
