import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { EverbootFailure } from '../../domain/failures.ts';
import type { ConfigDriveContents } from '../../hypervisor/config-drive/contents.ts';
import { openstackVersions } from '../../hypervisor/config-drive/openstack-metadata.ts';
import { writeConfigDrive } from '../../hypervisor/config-drive/write-config-drive.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { makeFailingFolder } from '../durability/harness/small-file-systems.ts';
import { extractDrive, filesOf } from './extract-drive.ts';

const folder = await mkdtemp('/var/tmp/everboot-test-drive-');
after(() => rm(folder, { recursive: true, force: true }));
const control = { signal: new AbortController().signal, onProgress: () => undefined };
const iso = { configDriveFormat: 'iso9660', mkisofsCmd: 'xorriso' } as const;
const vfat = { configDriveFormat: 'vfat', mkisofsCmd: 'xorriso' } as const;

const contents: ConfigDriveContents = {
  spec: {
    id: '5b3c6f0e-0000-4000-8000-00000000abcd',
    name: 'web-1',
    hostname: 'web-1.example',
    project: 'p1',
    availabilityZone: 'az1',
    flavor: 'm1.tiny',
    metadata: { role: 'web' },
    sshKeys: ['ssh-ed25519 AAAAC3Nza alice@example'],
    interfaces: [],
  },
  secrets: {
    userData: Buffer.from('#cloud-config\nhostname: x\n').toString('base64'),
    adminPassword: 'hunter2',
    files: [{ path: '/etc/motd', base64: Buffer.from('hello').toString('base64') }],
  },
};

/** Everything on a drive, by its path. */
async function readDrive(image: string, format: 'iso9660' | 'vfat'): Promise<Map<string, Buffer>> {
  const target = join(await mkdtemp(join(folder, 'read-')), 'tree');
  await extractDrive(image, format, target);
  return await filesOf(target);
}

const readIso = (image: string): Promise<Map<string, Buffer>> => readDrive(image, 'iso9660');

test('an ISO 9660 drive holds every version that Nova writes, labelled config-2', async () => {
  const path = join(folder, 'disk.config');
  const { sizeBytes } = await writeConfigDrive(path, contents, iso, control);
  assert.equal(sizeBytes, (await stat(path)).size);
  const { stdout } = await runProgram('blkid', ['-o', 'export', path], { timeoutMs: 120_000 });
  assert.match(stdout, /LABEL=config-2/);
  assert.match(stdout, /TYPE=iso9660/);
  const files = await readIso(path);
  for (const version of openstackVersions) assert.ok(files.has(`openstack/${version}/meta_data.json`), version);
  const metaData = JSON.parse(String(files.get('openstack/latest/meta_data.json')));
  assert.equal(metaData.uuid, contents.spec.id);
  assert.equal(metaData.hostname, 'web-1.example');
  assert.deepEqual(metaData.meta, { role: 'web' });
  assert.equal(metaData.admin_pass, 'hunter2');
  assert.deepEqual(metaData.public_keys, { 'key-0': contents.spec.sshKeys[0] });
  assert.equal(Buffer.from(metaData.random_seed, 'base64').length, 512);
  assert.equal(String(files.get('openstack/latest/user_data')), '#cloud-config\nhostname: x\n');
  assert.deepEqual(metaData.files, [{ path: '/etc/motd', content_path: '/content/0000' }]);
  assert.equal(String(files.get('openstack/content/0000')), 'hello');
  assert.ok(files.has('ec2/latest/meta-data.json'));
});

test('an ISO 9660 drive has Joliet and Rock Ridge, and all in it is root’s and readable', async () => {
  const path = join(folder, 'disk.config');
  const image = await readFile(path);
  // ECMA-119: a supplementary descriptor is of type 2, and its escape sequence says UCS-2 where it is Joliet's.
  const descriptors = [16, 17, 18, 19].map((sector) => image.subarray(sector * 2048, (sector + 1) * 2048));
  const joliet = descriptors.find(
    (descriptor) => descriptor[0] === 2 && descriptor.toString('latin1', 1, 6) === 'CD001',
  );
  assert.match(joliet?.toString('latin1', 88, 91) ?? '', /^%\/[@CE]$/);
  assert.ok((await readIso(path)).has('ec2/2009-04-04/meta-data.json'), 'long names in lower case are kept');
  const { stdout } = await runProgram('xorriso', ['-indev', path, '-lsl', '/openstack/latest/', '--'], {
    timeoutMs: 20_000,
  });
  const listed = stdout.split('\n').filter((line) => line.startsWith('-'));
  assert.equal(listed.length, 5, stdout);
  for (const line of listed) assert.match(line, /^-r--r--r-- +1 0 +0 /);
});

test('a vfat drive holds the same files', async () => {
  const path = join(folder, 'disk.config.vfat');
  await writeConfigDrive(path, contents, vfat, control);
  const { stdout } = await runProgram('blkid', ['-o', 'export', path], { timeoutMs: 120_000 });
  assert.match(stdout, /LABEL=config-2/);
  assert.match(stdout, /TYPE=vfat/);
  const isoFiles = await readIso(join(folder, 'disk.config'));
  assert.deepEqual([...(await readDrive(path, 'vfat')).keys()].sort(), [...isoFiles.keys()].sort());
});

test('a drive can be read by its owner only, and nothing is left of its making', async () => {
  const own = join(folder, 'own');
  await mkdir(own);
  await writeConfigDrive(join(own, 'disk.config'), contents, iso, control);
  assert.equal((await stat(join(own, 'disk.config'))).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(own), ['disk.config']);
});

test('an existing drive stays, and what a killed worker left beside it is removed', async () => {
  const own = join(folder, 'again');
  await mkdir(join(own, 'disk.config.deadbeef.everboot-tmp/tree'), { recursive: true });
  await writeFile(join(own, 'disk.config.deadbeef.everboot-tmp/tree/user_data'), 'secret');
  await writeConfigDrive(join(own, 'disk.config'), contents, iso, control);
  const before = await readFile(join(own, 'disk.config'));
  await writeConfigDrive(join(own, 'disk.config'), contents, iso, control);
  assert.ok(before.equals(await readFile(join(own, 'disk.config'))));
  assert.deepEqual(await readdir(own), ['disk.config']);
});

test('an instance with interfaces and no network data is left to DHCP', async () => {
  const path = join(folder, 'dhcp.config');
  const interfaces = [{ type: 'network', source: 'default' }] as const;
  await writeConfigDrive(path, { ...contents, spec: { ...contents.spec, interfaces } }, iso, control);
  assert.ok(!(await readIso(path)).has('openstack/latest/network_data.json'));
  assert.equal(String((await readIso(join(folder, 'disk.config'))).get('openstack/latest/network_data.json')), '{}');
});

test('the guest finds in its metadata which device is which', async () => {
  const path = join(folder, 'devices.config');
  const disks = {
    root: { kind: 'root', name: 'disk', format: 'qcow2', device: 'vda', bus: 'virtio', sizeBytes: null },
    ephemerals: [
      {
        kind: 'ephemeral',
        name: 'disk.local',
        format: 'qcow2',
        device: 'vdb',
        bus: 'virtio',
        sizeBytes: 1,
        fileSystem: 'ext4',
        label: 'ephemeral0',
      },
    ],
    swap: { kind: 'swap', name: 'disk.swap', format: 'qcow2', device: 'vdc', bus: 'virtio', sizeBytes: 1 },
  } as const;
  await writeConfigDrive(path, { ...contents, disks }, iso, control);
  const { 'block-device-mapping': mapping } = JSON.parse(
    String((await readIso(path)).get('ec2/latest/meta-data.json')),
  );
  assert.deepEqual(mapping, { ami: 'vda', root: '/dev/vda', ephemeral0: '/dev/vdb', swap: '/dev/vdc' });
});

test('a vfat drive that lost a write is never published, though mcopy says nothing of it', async () => {
  const failing = await makeFailingFolder(folder);
  const { directory } = failing;
  const userData = randomBytes(200_000).toString('base64');
  const large = { ...contents, secrets: { ...contents.secrets, userData } };
  const write = () => writeConfigDrive(`${directory}/disk.config`, large, vfat, control);
  const silent: number[] = [];
  try {
    for (let first = 900; first <= 1800; first += 60) {
      await failing.break([first, first + 30]);
      await assert.rejects(write, (error: EverbootFailure) => {
        if (/does not hold/.test(error.message)) silent.push(first);
        return true;
      });
      await failing.mend();
      assert.deepEqual(await readdir(directory), []);
    }
    assert.ok(silent.length > 0, 'some of them are lost in silence');
    await write();
    const files = await readDrive(`${directory}/disk.config`, 'vfat');
    assert.equal(files.get('openstack/latest/user_data')?.toString('base64'), userData);
  } finally {
    await failing.unmount();
  }
});
