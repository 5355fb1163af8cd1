import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { PlannedVolume } from '../../../domain/disk-plan.ts';
import { EverbootFailure, type FailureCode } from '../../../domain/failures.ts';
import { inspectBlockDevice } from '../../../hypervisor/volumes/block-device.ts';
import { checkVolume } from '../../../hypervisor/volumes/check-volume.ts';
import { deviceNumber } from '../../../hypervisor/volumes/device-users.ts';

const mebibyte = 2 ** 20;
let folder: string;
/** A block device of the test's own, under a name of a folder of its own. */
let device: string;
let loop: string;

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

function newLoop(image: string, ...flags: string[]): string {
  return run('losetup', '--find', '--show', ...flags, image);
}

before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-volumes-');
  await mkdir(join(folder, 'devices'));
  const image = join(folder, 'disk');
  await writeFile(image, '');
  await truncate(image, 64 * mebibyte);
  loop = newLoop(image);
  device = join(folder, 'devices', 'data');
  await symlink(loop, device);
});
after(async () => {
  if (loop !== undefined) run('losetup', '--detach', loop);
  await rm(folder, { recursive: true, force: true });
});

function volume(block: string, changes: Partial<PlannedVolume> = {}): PlannedVolume {
  const place = { device: 'vdb', bus: 'virtio', deviceType: 'disk' } as const;
  return { kind: 'volume', source: { block }, ...place, boot: false, readOnly: false, ...changes };
}

async function check(planned: PlannedVolume, minDiskGb = 0): Promise<void> {
  const settings = { volumeDeviceRoots: [join(folder, 'devices')], volumeServers: [], volumeRbdPools: [] };
  await checkVolume(planned, { settings, minDiskGb });
}

function failsWith(code: FailureCode, words: RegExp) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code && words.test(error.message);
}

test('a block device in a folder of the host’s volumes is accepted, by a name that leads to it', async () => {
  await check(volume(device));
  assert.deepEqual(await inspectBlockDevice(device), { path: loop, sizeBytes: 64 * mebibyte, isReadOnly: false });
});

test('boots that look at one device at the same time do not take each other for its users', async () => {
  await Promise.all(Array.from({ length: 20 }, () => inspectBlockDevice(device)));
});

test('a device outside of these folders is refused, though it is the same', async () => {
  await assert.rejects(check(volume(loop)), failsWith('HostUnsuitable', /volume_device_roots/));
});

test('what is no block device is refused: a file, a folder, a name that leads nowhere or in circles', async () => {
  const devices = join(folder, 'devices');
  await writeFile(join(devices, 'file'), '');
  await mkdir(join(devices, 'folder'));
  await symlink(join(devices, 'nothing'), join(devices, 'dangling'));
  await symlink(join(devices, 'circle'), join(devices, 'circle'));
  await symlink('/dev/null', join(devices, 'null'));
  for (const name of ['file', 'folder', 'null']) {
    await assert.rejects(check(volume(join(devices, name))), failsWith('HostUnsuitable', /is no block device/));
  }
  for (const name of ['absent', 'dangling', 'circle', 'file/x']) {
    await assert.rejects(check(volume(join(devices, name))), failsWith('HostUnsuitable', /is not there/));
  }
});

test('a device that is mounted on the host is refused, and is free again afterwards', async () => {
  run('mkfs.ext4', '-q', '-F', loop);
  const point = join(folder, 'mounted');
  await mkdir(point);
  run('mount', loop, point);
  try {
    await assert.rejects(check(volume(device)), failsWith('HostUnsuitable', new RegExp(`mounted at ${point}`)));
  } finally {
    run('umount', point);
  }
  await check(volume(device));
});

test('a device that is mounted in another mount namespace is refused as well', async () => {
  run('mkfs.ext4', '-q', '-F', loop);
  const point = join(folder, 'elsewhere');
  await mkdir(point);
  // The shell stays, and the namespace with it.
  const script = `mount ${loop} ${point} && "$@"; true`;
  const probe = `import { inspectBlockDevice } from '${new URL('../../../hypervisor/volumes/block-device.ts', import.meta.url).pathname}';
    await inspectBlockDevice('${device}').then(() => console.log('free'), (error) => console.log(error.message));`;
  // The probe runs in the first namespace, from inside of the second.
  const inside = ['nsenter', '--mount=/proc/self/fd/9', process.execPath, '--input-type=module', '-e', probe];
  const outside = ['unshare', '--mount', 'sh', '-c', script, '-', ...inside];
  const said = run('sh', '-c', 'exec 9</proc/self/ns/mnt; exec "$@"', '-', ...outside);
  assert.match(said, /the kernel says that it is claimed/);
});

test('a swap area of the host is refused', async (t) => {
  run('mkswap', '-q', loop);
  try {
    run('swapon', loop);
  } catch (error) {
    t.skip(`swap cannot be switched on here: ${error}`);
    return;
  }
  try {
    await assert.rejects(check(volume(device)), failsWith('HostUnsuitable', /is a swap area/));
  } finally {
    run('swapoff', loop);
  }
});

test('a device that can only be read is refused to a guest that is to write', async () => {
  const readOnly = newLoop(join(folder, 'disk'), '--read-only');
  const name = join(folder, 'devices', 'read-only');
  await symlink(readOnly, name);
  try {
    await assert.rejects(check(volume(name)), failsWith('HostUnsuitable', /can only be read/));
    await check(volume(name, { readOnly: true }));
  } finally {
    run('losetup', '--detach', readOnly);
  }
});

test('a volume to boot from is no smaller than its image’s min_disk', async () => {
  await assert.rejects(check(volume(device, { boot: true }), 1), failsWith('FlavorDiskTooSmall', /67108864.*1 GiB/));
  await check(volume(device, { boot: true }), 0);
  await check(volume(device), 1);
});

test('a server is not asked: an NBD volume is judged by the host’s configuration alone', async () => {
  const source = { nbd: { host: 'storage-1.invalid', port: 1, export: '' } };
  const settings = { volumeDeviceRoots: [], volumeServers: ['storage-1.invalid'], volumeRbdPools: [] };
  await checkVolume({ ...volume(''), source }, { settings, minDiskGb: 0 });
});

test('device numbers are split as Linux packs them', () => {
  for (const [packed, number] of [
    [0x803, '8:3'],
    [0x11032c, '259:300'],
    [0xffffffff, '4095:1048575'],
    [0x100000038807, '5000:7'],
  ] as const) {
    assert.equal(deviceNumber(packed), number);
  }
});
