import assert from 'node:assert/strict';
import { access, mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseSpec } from '../../domain/parse-spec.ts';
import { writeConfigDrive } from '../../hypervisor/config-drive/write-config-drive.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { stateDirectory } from '../fixtures/state-directory.ts';
import { extractDrive } from './extract-drive.ts';

/** The Python modules of the Debian guest, cloud-init's among them. */
const modules = join(stateDirectory(), 'cloud-guest', 'python');
const hasModules = await access(modules).then(
  () => true,
  () => false,
);
const skip = !hasModules && 'no Debian guest is made here, whose cloud-init could be asked: this is not Debian';

const folder = await mkdtemp('/var/tmp/everboot-test-drive-');
after(() => rm(folder, { recursive: true, force: true }));

const fixtures = join(import.meta.dirname, '..', 'fixtures', 'nova');
const { full } = JSON.parse(await readFile(join(fixtures, 'instances.json'), 'utf8'));
const trees = JSON.parse(await readFile(join(fixtures, 'trees.json'), 'utf8'));
const macs: string[] = full.spec.interfaces.map(({ mac }: { mac: string }) => mac);

/** Returns what cloud-init's own datasource reads from a drive of that format. */
async function askCloudInit(configDriveFormat: 'iso9660' | 'vfat'): Promise<any> {
  const networkData = trees.full['openstack/latest/network_data.json'];
  const { spec, secrets } = parseSpec({ ...full.spec, hostname: 'web-1.example.org', networkData });
  const own = await mkdtemp(join(folder, `${configDriveFormat}-`));
  const drive = join(own, 'disk.config');
  const control = { signal: AbortSignal.timeout(60_000), onProgress: () => undefined };
  await writeConfigDrive(
    drive,
    { spec, secrets, disks: full.disks },
    { configDriveFormat, mkisofsCmd: 'xorriso' },
    control,
  );
  await extractDrive(drive, configDriveFormat, join(own, 'config_drive'));
  const program = join(import.meta.dirname, 'ask-cloud-init.py');
  // Debian's Python, for which the modules are made; another one may come before it on the path.
  const command = [`PYTHONPATH=${modules}`, '/usr/bin/python3', program, own, ...macs];
  const { stdout } = await runProgram('env', command, { timeoutMs: 60_000 });
  return JSON.parse(stdout);
}

for (const format of ['iso9660', 'vfat'] as const) {
  test(`cloud-init reads all of a ${format} drive`, { skip }, async () => {
    const { networkConfig, devices, ...read } = await askCloudInit(format);
    assert.deepEqual(read, {
      found: true,
      version: 2,
      instanceId: full.spec.id,
      hostname: 'web-1.example.org',
      localHostname: 'web-1.example.org',
      keys: full.spec.sshKeys,
      launchIndex: full.spec.launchIndex,
      availabilityZone: 'az-1',
      adminPassword: full.spec.adminPassword,
      meta: full.spec.metadata,
      randomSeedLength: 512,
      userData: full.spec.userData,
      vendorData: full.spec.vendorData['cloud-init'],
      vendorData2: { static: full.spec.vendorData },
      files: Object.fromEntries(full.spec.files.map(({ path, content }: Record<string, string>) => [path, content])),
      deviceMapping: {
        ami: 'vda',
        root: '/dev/vda',
        ephemeral0: '/dev/vdb',
        swap: '/dev/vdc',
        ebs0: '/dev/sda',
        ebs1: '/dev/sdb',
        ebs2: '/dev/vdd',
      },
    });
    assert.deepEqual(
      devices.map(({ tags }: { tags: string[] }) => tags),
      [['scratch'], ['db'], ['log'], ['front']],
    );

    const [front, back, nameServer] = networkConfig.config;
    assert.deepEqual([front.name, front.mac_address, front.mtu], ['eth0', macs[0], 1450]);
    const [ipv4, ipv6] = front.subnets;
    assert.deepEqual([ipv4.type, ipv4.address, ipv4.netmask], ['static', '192.0.2.10', '255.255.255.0']);
    assert.deepEqual(
      ipv4.routes.map(({ gateway }: { gateway: string }) => gateway),
      ['192.0.2.1', '192.0.2.254'],
    );
    assert.deepEqual([ipv6.type, ipv6.address], ['static6', '2001:db8::10']);
    assert.deepEqual([back.name, back.subnets], ['eth1', [{ type: 'dhcp4' }]]);
    assert.deepEqual(nameServer, { type: 'nameserver', address: '192.0.2.53' });
  });
}
