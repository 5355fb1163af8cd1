import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { EverbootFailure } from '../../domain/failures.ts';
import { configurationFile, findStateDirectory, readConfiguration } from '../../workers/configuration.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-configuration-'));
});
after(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** The failure with which a configuration is refused. */
async function refusal(source: Parameters<typeof readConfiguration>[0]): Promise<EverbootFailure> {
  try {
    await readConfiguration(source);
  } catch (error) {
    assert.ok(error instanceof EverbootFailure, String(error));
    assert.equal(error.code, 'ConfigInvalid');
    return error;
  }
  return assert.fail('nothing was refused');
}

test('the environment overrides the file, and the file the defaults', async () => {
  const text = '[host]\nname = "from-file"\nreserved_disk_mb = 5\n[libvirt]\nuse_cow_images = true\n';
  const environment = {
    EVERBOOT_HOST_NAME: 'from-environment',
    EVERBOOT_HOST_FILE_IMAGE_ROOTS: '/srv/a, /srv/b/,',
    EVERBOOT_LIBVIRT_USE_COW_IMAGES: 'No',
    EVERBOOT_LIBVIRT_VIRT_TYPE: 'qemu',
    EVERBOOT_GLANCE_API_SERVERS: 'http://a/v2,http://b',
    EVERBOOT_IMAGE_CACHE_SUBDIRECTORY_NAME: 'base',
    EVERBOOT_CONFIG_DRIVE_FORCE_CONFIG_DRIVE: '1',
    EVERBOOT_TEMPORAL_ADDRESS: '127.0.0.1:7233',
  };
  const { host, libvirt, glance, imageCache, configDrive, temporal } = await readConfiguration({ text, environment });
  assert.equal(host.name, 'from-environment');
  assert.equal(host.reservedDiskMb, 5);
  assert.equal(host.maxConcurrentDownloads, 4);
  assert.deepEqual(host.fileImageRoots, ['/srv/a', '/srv/b']);
  assert.equal(libvirt.useCowImages, false);
  assert.equal(libvirt.virtType, 'qemu');
  assert.deepEqual(glance.apiServers, ['http://a', 'http://b']);
  assert.equal(imageCache.subdirectoryName, 'base');
  assert.equal(configDrive.forceConfigDrive, true);
  assert.equal(temporal.address, '127.0.0.1:7233');
});

test('an error in the environment is reported with its variable, beside those in the file', async () => {
  const { problems } = await refusal({
    text: '[host]\nreserved_disk_mb = -1\n',
    environment: {
      EVERBOOT_HOST_MAX_CONCURRENT_DOWNLOADS: 'x',
      EVERBOOT_LIBVIRT_USE_COW_IMAGES: 'maybe',
      EVERBOOT_GLANCE_SERVERS: 'http://a',
      EVERBOOT_FLAVORS_WEB_VCPUS: '1',
      EVERBOOT_IMAGE_CACHE_MAX_BYTES: '',
    },
  });
  const option = 'max_concurrent_downloads';
  assert.equal(problems[0], '[host] reserved_disk_mb: -1, expected a whole number from 0 to 16777216');
  assert.equal(
    problems[1],
    `[host] ${option}: "x", expected a whole number from 1 to 64 (set by EVERBOOT_HOST_MAX_CONCURRENT_DOWNLOADS)`,
  );
  for (const [index, start] of [
    '[libvirt] use_cow_images: "maybe"',
    '[glance] servers: unknown',
    '[image_cache] max_bytes: ""',
    '[flavors.web_vcpus]',
  ].entries()) {
    assert.ok(problems[index + 2]?.startsWith(start), problems.join('\n'));
    assert.match(problems[index + 2] ?? '', /\(set by EVERBOOT_\w+\)$/);
  }
  assert.equal(problems.length, 6);
});

test('variables that are not options are left alone', async () => {
  const environment = {
    EVERBOOT_CONFIG: '/nonexistent',
    EVERBOOT_STATE_DIR: '/x',
    EVERBOOT_TEST_HOST: '1',
    EVERBOOT: '1',
    HOST_NAME: 'x y',
    PATH: '/bin',
  };
  await readConfiguration({ text: '', environment });
});

test('a file that is named must be there, be TOML and be small', async () => {
  const absent = join(folder, 'absent.toml');
  assert.match((await refusal({ environment: { EVERBOOT_CONFIG: absent } })).message, /absent\.toml.*ENOENT/);
  assert.match((await refusal({ file: absent, environment: {} })).message, /ENOENT/);
  assert.match((await refusal({ file: folder, environment: {} })).message, /EISDIR/);

  const file = join(folder, 'everboot.toml');
  await writeFile(file, '[host]\nname = "a"\nname = ');
  assert.match((await refusal({ file, environment: {} })).message, /everboot\.toml, line 3, column \d+: \w/);
  await writeFile(file, `# ${'x'.repeat(256 * 1024)}\n`);
  assert.match((await refusal({ file, environment: {} })).message, /more than 256 KiB/);

  await writeFile(file, '[host]\nname = "of-the-file"\n');
  assert.equal((await readConfiguration({ environment: { EVERBOOT_CONFIG: file } })).host.name, 'of-the-file');
  const { host } = await readConfiguration({
    file: null,
    environment: { EVERBOOT_CONFIG: file, EVERBOOT_HOST_NAME: 'a' },
  });
  assert.equal(host.name, 'a');
});

test('what is not built yet is refused, not ignored', async () => {
  const text = `
    [glance]
    allowed_direct_url_schemes = ["file", "rbd"]`;
  const { problems } = await refusal({ text, environment: {} });
  assert.deepEqual(problems, ['[glance] allowed_direct_url_schemes: rbd is not supported yet, expected file']);
});

test('logical volumes need a volume group', async () => {
  const text = '[libvirt]\nimages_type = "lvm"\n';
  const { problems } = await refusal({ text, environment: {} });
  assert.match(problems[0] ?? '', /^\[libvirt\] images_volume_group: none, expected a volume group/);
  const { libvirt } = await readConfiguration({ text: `${text}images_volume_group = "vg0"`, environment: {} });
  assert.deepEqual([libvirt.imagesType, libvirt.imagesVolumeGroup], ['lvm', 'vg0']);
});

test('libguestfs does not work on disks below /tmp', async () => {
  const host = '[host]\ninstances_path = "/tmp/instances"\n[libvirt]\n';
  const lxc = 'virt_type = "lxc"\nconnection_uri = "lxc:///system"';
  for (const option of ['inject_partition = -1', 'resize_fs_using_block_device = true', lxc]) {
    const { problems } = await refusal({ text: host + option, environment: {} });
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? '', /^\[host\] instances_path: "\/tmp\/instances", expected a folder outside of \/tmp/);
  }
  assert.equal((await readConfiguration({ text: host, environment: {} })).host.instancesPath, '/tmp/instances');
});

test('disks in Ceph need a pool, and images that are raw', async () => {
  const text = '[libvirt]\nimages_type = "rbd"\n';
  const { problems } = await refusal({ text: `${text}force_raw_images = false`, environment: {} });
  assert.deepEqual(problems, [
    '[libvirt] images_rbd_pool: none, expected the name of a Ceph pool, because images_type is rbd',
    '[libvirt] force_raw_images: false, expected true, because images_type is rbd',
  ]);
  const { libvirt } = await readConfiguration({ text: `${text}images_rbd_pool = "vms"`, environment: {} });
  assert.deepEqual([libvirt.imagesType, libvirt.imagesRbdPool], ['rbd', 'vms']);
});

test('signatures cannot be verified without a folder of certificates', async () => {
  const glance = '[glance]\nverify_glance_signatures = true\n';
  const { problems } = await refusal({ text: glance, environment: {} });
  assert.match(problems[0] ?? '', /^\[glance\] signature_certificates_path: none, expected the folder/);
  const text = `${glance}signature_certificates_path = "/etc/everboot/certificates"`;
  assert.equal((await readConfiguration({ text, environment: {} })).glance.verifyGlanceSignatures, true);
});

test('containers need the libvirt that has them', async () => {
  const text = '[libvirt]\nvirt_type = "lxc"\n';
  const { problems } = await refusal({ text, environment: {} });
  assert.match(
    problems[0] ?? '',
    /^\[libvirt\] connection_uri: "qemu:\/\/\/system", expected one such as lxc:\/\/\/system/,
  );
  const settings = await readConfiguration({ text: `${text}connection_uri = "lxc:///system"`, environment: {} });
  assert.equal(settings.libvirt.virtType, 'lxc');
});

test('keys are in the state folder, unless an option says where one is', async () => {
  const keysOf = async (environment: Record<string, string>, stateDirectory?: string) => {
    const state = stateDirectory === undefined ? {} : { stateDirectory };
    return (await readConfiguration({ text: '', environment, ...state })).secrets;
  };
  assert.deepEqual(await keysOf({}), { publicKeyFile: null, privateKeyFile: null });
  assert.deepEqual(await keysOf({}, '/state'), {
    publicKeyFile: '/state/keys/public.json',
    privateKeyFile: '/state/keys/private.json',
  });
  assert.deepEqual(await keysOf({ EVERBOOT_SECRETS_PUBLIC_KEY_FILE: '/k.json' }, '/state'), {
    publicKeyFile: '/k.json',
    privateKeyFile: null,
  });
});

test('the configuration file is the one that the environment names', () => {
  assert.equal(configurationFile({ EVERBOOT_CONFIG: '/a/b.toml' }), '/a/b.toml');
  assert.equal(configurationFile({ EVERBOOT_CONFIG: 'b.toml' }), resolve('b.toml'));
  assert.ok([null, '/etc/everboot/everboot.toml'].includes(configurationFile({})));
});

test('the state folder is the one that the environment names, and one that can be written to', async () => {
  assert.equal(await findStateDirectory({ EVERBOOT_STATE_DIR: '/a/b' }), '/a/b');
  await mkdir(join(folder, 'state'));
  const found = await findStateDirectory({ XDG_STATE_HOME: join(folder, 'state'), HOME: folder });
  assert.ok(['/var/lib/everboot', join(folder, 'state/everboot')].includes(found), found);
  const relative = await findStateDirectory({ XDG_STATE_HOME: 'relative', HOME: homedir() });
  assert.ok(['/var/lib/everboot', join(homedir(), '.local/state/everboot')].includes(relative), relative);
});
