import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { configurationJsonSchema, parseConfiguration } from '../../domain/configuration-schema.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { builtInFlavors } from '../../domain/flavors.ts';

const machineName = 'compute-1';
const read = (document: unknown) => parseConfiguration(document, { machineName });

function problemsIn(document: unknown): readonly string[] {
  try {
    read(document);
  } catch (error) {
    assert.ok(error instanceof EverbootFailure, String(error));
    assert.equal(error.code, 'ConfigInvalid');
    return error.problems;
  }
  return assert.fail('nothing was refused');
}

const defaults = {
  host: {
    name: machineName,
    instancesPath: '/var/lib/everboot/instances',
    hostUnreachableAfter: 300,
    reconcileInterval: 600,
    reservedDiskMb: 1024,
    maxConcurrentDownloads: 4,
    maxDownloadBytesPerSecond: null,
    maxConcurrentDiskOps: 2,
    fileImageRoots: [],
    volumeDeviceRoots: [],
    volumeServers: [],
    volumeRbdPools: [],
    tapDevices: [],
  },
  libvirt: {
    connectionUri: 'qemu:///system',
    unavailableTimeout: 60,
    resumeGuestsStateOnHostBoot: false,
    virtType: 'auto',
    cpuMode: null,
    imagesType: 'default',
    useCowImages: true,
    forceRawImages: true,
    preallocateImages: 'none',
    injectPartition: -2,
    injectKey: false,
    injectPassword: false,
    resizeFsUsingBlockDevice: false,
    defaultEphemeralFormat: null,
    virtMkfs: [],
    imagesVolumeGroup: null,
    sparseLogicalVolumes: false,
    volumeClear: 'zero',
    volumeClearSize: 0,
    imagesRbdPool: null,
    imagesRbdCephConf: null,
    rbdUser: null,
    rbdSecretUuid: null,
    rbdConnectTimeout: 5,
  },
  glance: {
    apiServers: [],
    numRetries: 3,
    allowedDirectUrlSchemes: [],
    cloud: null,
    verifyGlanceSignatures: false,
    signatureCertificatesPath: null,
    connectTimeout: 10,
    stallTimeout: 60,
    imageFetchTimeout: 3600,
    imageMaxBytes: 2 ** 40,
    allowUnverified: false,
  },
  imageCache: {
    subdirectoryName: '_base',
    removeUnusedOriginalMinimumAgeSeconds: 86400,
    maxBytes: null,
    managerInterval: 2400,
    scrubInterval: 604_800,
    scrubBytesPerSecond: 64 * 2 ** 20,
  },
  configDrive: { forceConfigDrive: false, configDriveFormat: 'iso9660', mkisofsCmd: 'xorriso' },
  secrets: { publicKeyFile: null, privateKeyFile: null },
  temporal: { profile: null, address: null, namespace: 'default' },
  flavors: Object.fromEntries(builtInFlavors.map((flavor) => [flavor.name, flavor])),
};

test('nothing configured gives the defaults of the contract', () => {
  assert.deepEqual(read({}), defaults);
});

test('all errors are reported together, with their names, values and expected values', () => {
  assert.deepEqual(
    problemsIn({
      host: { name: 'a b', max_concurrent_downloads: 'x', instances: '/srv' },
      libvirt: { images_type: 'zfs', inject_key: 'yes' },
      glance: { api_servers: ['ftp://glance'] },
      flavors: { 'm1.tiny': { vcpus: 0, memory_mb: 1, root_gb: 1 } },
      image_cache: [],
      hsot: {},
    }),
    [
      '[host] name: "a b", expected 1 to 64 letters, digits, ".", "_" and "-"',
      '[host] max_concurrent_downloads: "x", expected a whole number from 1 to 64',
      '[host] instances: unknown, expected one of name, instances_path, host_unreachable_after, reconcile_interval, reserved_disk_mb, max_concurrent_downloads, max_download_bytes_per_second, max_concurrent_disk_ops, file_image_roots, volume_device_roots, volume_servers, volume_rbd_pools, tap_devices',
      '[libvirt] images_type: "zfs", expected one of default, raw, flat, qcow2, lvm, rbd',
      '[libvirt] inject_key: "yes", expected true or false',
      '[glance] api_servers[0]: "ftp://glance", expected an http or https URL without a name and a password',
      '[image_cache]: a list, expected an object with keys of subdirectory_name, remove_unused_original_minimum_age_seconds, max_bytes, manager_interval, scrub_interval, scrub_bytes_per_second',
      '[flavors.m1.tiny] vcpus: 0, expected a whole number from 1 to 1024',
      '[hsot]: unknown, expected one of host, libvirt, glance, image_cache, config_drive, secrets, flavors, temporal',
    ],
  );
});

test('the base URL of a Glance server loses its version, and a folder its last slash', () => {
  const { glance, host } = read({
    glance: { api_servers: ['http://a:9292', 'http://b:9292/', 'https://c/image/v2', 'https://d/v2/'] },
    host: { instances_path: '/srv/instances/', file_image_roots: ['/srv/images/'] },
  });
  assert.deepEqual(glance.apiServers, ['http://a:9292', 'http://b:9292', 'https://c/image', 'https://d']);
  assert.deepEqual([host.instancesPath, ...host.fileImageRoots], ['/srv/instances', '/srv/images']);
});

test('no folder leads out of where it seems to be', () => {
  for (const path of ['/', '', 'srv', '/srv/../etc', '/srv/./x', '/srv//x', '/srv/..', '/srv\n']) {
    assert.equal(problemsIn({ host: { instances_path: path } }).length, 1, path);
  }
  for (const name of ['.', '..', 'a/b', '.everboot', '', '0a1b2c3d-0000-4000-8000-00000000abcd']) {
    assert.equal(problemsIn({ image_cache: { subdirectory_name: name } }).length, 1, name);
  }
});

test('a configured flavor is added, or takes the place of a built-in one', () => {
  const { flavors } = read({
    flavors: {
      'm1.tiny': { vcpus: 2, memory_mb: 64, root_gb: 0 },
      web: { vcpus: 4, memory_mb: 4096, root_gb: 10, ephemeral_gb: 1, swap_mb: 512 },
    },
  });
  assert.equal(Object.keys(flavors).length, builtInFlavors.length + 1);
  assert.deepEqual(flavors['m1.tiny'], {
    name: 'm1.tiny',
    vcpus: 2,
    memoryMb: 64,
    rootGb: 0,
    ephemeralGb: 0,
    swapMb: 0,
  });
  assert.deepEqual(flavors.web, { name: 'web', vcpus: 4, memoryMb: 4096, rootGb: 10, ephemeralGb: 1, swapMb: 512 });
});

test('a machine whose own name is none for a host is refused with that reason', () => {
  const named = (name: string) => () => parseConfiguration({}, { machineName: name });
  assert.throws(named('büro'), (error: EverbootFailure) => error.problems[0]?.startsWith('[host] name: "büro"'));
  assert.equal(parseConfiguration({ host: { name: 'office' } }, { machineName: 'büro' }).host.name, 'office');
});

test('the password of an address is not quoted', () => {
  const problems = problemsIn({ glance: { api_servers: ['http://me:hunter2@glance:9292'] } }).join();
  assert.ok(problems.includes('expected') && !problems.includes('hunter2'), problems);
});

interface Section {
  readonly properties: Readonly<Record<string, { readonly description?: string; readonly default?: unknown }>>;
  readonly required?: readonly string[];
  readonly additionalProperties: unknown;
}

/** The rows of each section's table: option, default, words. */
function documentedOptions(page: string): Map<string, string[][]> {
  const parts = page.split(/^## /m).slice(1);
  return new Map(
    parts.map((part) => {
      const [, section = ''] = /^`\[(.*?)\]`/.exec(part) ?? [];
      const rows = part.split('\n').filter((line) => line.startsWith('| `'));
      return [section, rows.map((row) => row.slice(2, -2).split(' | ').slice(0, 3))];
    }),
  );
}

test('docs/configuration.md lists exactly the options of the schema, with their defaults and words', async () => {
  const page = await readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
  const { flavors, ...sections } = configurationJsonSchema().properties as unknown as Readonly<Record<string, Section>>;
  const expected = new Map(Object.entries({ ...sections, 'flavors.<name>': flavors?.additionalProperties as Section }));
  const documented = documentedOptions(page);
  assert.deepEqual([...documented.keys()].sort(), [...expected.keys()].sort());
  for (const [section, { properties, required = [] }] of expected) {
    const rows = Object.entries(properties).map(([option, { description, default: value }]) => {
      const whenUnset = option === 'name' ? 'the machine’s host name' : required.includes(option) ? 'required' : 'none';
      return [`\`${option}\``, value === undefined ? whenUnset : `\`${JSON.stringify(value)}\``, description];
    });
    assert.deepEqual(documented.get(section), rows, section);
  }
});
