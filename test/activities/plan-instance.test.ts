import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import type { Host } from '../../activities/context/host.ts';
import { planInstance } from '../../activities/plan-instance.ts';
import { EverbootFailure, type FailureCode } from '../../domain/failures.ts';
import type { PlannedInstance } from '../../domain/host-activities.ts';
import { hostPaths } from '../../domain/host-paths.ts';
import type { InstancePlan } from '../../domain/operations.ts';
import { parseSpec } from '../../domain/parse-spec.ts';
import { writeInstanceRecord } from '../../hypervisor/instance/instance-record.ts';
import { activityOfRunningOperation } from '../fixtures/activity-environment.ts';
import { imageServer } from '../fixtures/image-server.ts';
import type { Describe } from '../fixtures/running-operation-client.ts';
import { testConfiguration } from '../fixtures/test-host.ts';

const flavor = { name: 'm1.test', vcpus: 1, memoryMb: 512, rootGb: 10, ephemeralGb: 2, swapMb: 64 };
const ids = { root: '11111111-0000-4000-8000-000000000001', kernel: '11111111-0000-4000-8000-000000000002' };
const ramdiskId = '11111111-0000-4000-8000-000000000003';
const otherKernelId = '11111111-0000-4000-8000-000000000004';
const withoutKernelId = '11111111-0000-4000-8000-000000000005';

let folder: string;
let host: Host;
/** A block device of the test's own. */
let loop: string;

before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-plan-');
  await mkdir(join(folder, 'devices'));
  await writeFile(join(folder, 'disk'), '');
  await truncate(join(folder, 'disk'), 2 ** 30);
  loop = execFileSync('losetup', ['--find', '--show', join(folder, 'disk')], { encoding: 'utf8' }).trim();
  await symlink(loop, join(folder, 'devices', 'root'));
  const toml = `
    [host]
    volume_device_roots = ["${folder}/devices"]
    volume_servers = ["storage-1"]
    [libvirt]
    default_ephemeral_format = "xfs"`;
  const configuration = await testConfiguration(folder, 'test', toml);
  host = { configuration, paths: hostPaths(configuration.host.instancesPath, '_base'), stateDirectory: folder };
});
after(async () => {
  if (loop !== undefined) execFileSync('losetup', ['--detach', loop]);
  await rm(folder, { recursive: true, force: true });
});

/** A Glance server with the images' records that the test gives it, and without their bytes. */
async function glanceWith(t: TestContext, images: Readonly<Record<string, object>>): Promise<Host> {
  const { url } = await imageServer(t, [
    (request, response) => {
      const id = request.url?.split('/').at(-1) ?? '';
      const image = images[id];
      response.writeHead(image === undefined ? 404 : 200, { 'content-type': 'application/json' });
      const known = {
        id,
        name: id,
        status: 'active',
        size: 1024,
        os_hash_algo: 'sha512',
        os_hash_value: '0'.repeat(128),
      };
      response.end(JSON.stringify(image && { ...known, disk_format: 'qcow2', container_format: 'bare', ...image }));
    },
  ]);
  const { configuration } = host;
  return { ...host, configuration: { ...configuration, glance: { ...configuration.glance, apiServers: [url] } } };
}

async function answer(on: Host, fields: Record<string, unknown>, describe?: Describe): Promise<PlannedInstance> {
  const { spec } = parseSpec({ name: 'web-1', flavor: 'm1.test', boot: 'disks', ...fields });
  const claim = { instanceId: spec.id, operationId: crypto.randomUUID() };
  const planning = () => planInstance(on, { claim, spec, flavor, specDigest: '' });
  return (await activityOfRunningOperation(describe).run(planning)) as PlannedInstance;
}

async function plan(on: Host, fields: Record<string, unknown>): Promise<InstancePlan> {
  const { plan } = await answer(on, fields);
  assert.ok(plan !== null);
  return plan;
}

function failsWith(code: FailureCode, words: RegExp) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code && words.test(error.message);
}

test('a guest that boots from a volume gets no root disk, and of its image nothing but the properties', async (t) => {
  const glance = await glanceWith(t, { [ids.root]: { min_disk: 1, hw_disk_bus: 'scsi', hw_vif_model: 'e1000' } });
  const volumes = [{ block: `${folder}/devices/root`, boot: true }, { nbd: { host: 'storage-1', port: 10809 } }];
  const { disks, bases, image } = await plan(glance, { image: { glance: ids.root }, volumes });
  assert.equal(disks.root, null);
  assert.deepEqual(bases, [], 'nothing is fetched');
  assert.equal(image?.properties.hw_vif_model, 'e1000');
  assert.deepEqual(
    disks.volumes?.map(({ bus, device, boot }) => [bus, device, boot]),
    [
      ['scsi', 'sda', true],
      ['scsi', 'sdd', false],
    ],
  );
});

test('a volume smaller than its image’s min_disk is refused, and so is one that the host does not allow', async (t) => {
  const glance = await glanceWith(t, { [ids.root]: { min_disk: 2 } });
  const image = { glance: ids.root };
  const own = { block: `${folder}/devices/root`, boot: true };
  await assert.rejects(plan(glance, { image, volumes: [own] }), failsWith('FlavorDiskTooSmall', /2 GiB/));
  await plan(glance, { volumes: [own] });
  const refusals: readonly (readonly [object, RegExp])[] = [
    [{ block: loop }, /volume_device_roots/],
    [{ nbd: { host: 'storage-2', port: 10809 } }, /volume_servers/],
    [{ rbd: { pool: 'volumes', image: 'data' } }, /volume_rbd_pools/],
    [{ block: `${folder}/devices/absent` }, /is not there/],
  ];
  for (const [volume, words] of refusals) {
    await assert.rejects(plan(glance, { volumes: [volume] }), failsWith('HostUnsuitable', words));
  }
});

test('a tap device that the host does not name is refused before anything is made', async () => {
  const interfaces = [{ type: 'tap', source: 'tap0' }];
  await assert.rejects(plan(host, { interfaces }), failsWith('HostUnsuitable', /tap_devices/));
});

test('an instance that is ready keeps its volumes, whatever the host would say of them by now', async () => {
  const id = crypto.randomUUID();
  const volumes = [{ block: `${folder}/devices/gone` }];
  await assert.rejects(plan(host, { id, volumes }), failsWith('HostUnsuitable', /is not there/));
  const { result } = await readyInstance(id);
  assert.deepEqual(await answer(host, { id, volumes }), { plan: null, ready: result });
});

async function readyInstance(id: string) {
  const directory = join(host.paths.instances, id);
  await mkdir(directory, { recursive: true });
  const result = { instanceId: id, name: 'web-1', host: 'test', state: 'disks', directory, disks: [] } as const;
  const claim = { instanceId: id, operationId: crypto.randomUUID() };
  const known = { name: 'web-1', host: 'test', specDigest: '', cacheNames: [], createdAt: new Date().toISOString() };
  await writeInstanceRecord(directory, { version: 1, claim, ...known, state: 'ready', result });
  return { claim, result };
}

test('a ready instance that a deferred cleanup is about to remove is not returned as the result of the request', async () => {
  const id = crypto.randomUUID();
  const { claim, result } = await readyInstance(id);
  for (const whose of [claim.operationId, 'deleted']) {
    const pendingCleanup = `cleanup/test/${id}/${whose}`;
    const saying =
      (name: string): Describe =>
      async (_runId, workflowId) =>
        workflowId === pendingCleanup ? { status: { name } } : undefined;
    await assert.rejects(answer(host, { id }, saying('RUNNING')), failsWith('InstanceBusy', /is being removed/));
    assert.deepEqual(await answer(host, { id }, saying('COMPLETED')), { plan: null, ready: result });
  }
});

test('an instance that a deferred cleanup removed a moment ago is not returned as the result of the request', async () => {
  const id = crypto.randomUUID();
  await readyInstance(id);
  const saying: Describe = async () => {
    await rm(join(host.paths.instances, id), { recursive: true, force: true });
    return { status: { name: 'COMPLETED' } };
  };
  const { plan: made, ready } = await answer(host, { id }, saying);
  assert.deepEqual([made?.claim.instanceId, ready], [id, null]);
});

test('an image that is fetched is named once in the plan', async (t) => {
  const glance = await glanceWith(t, { [ids.root]: {} });
  const { bases, image } = await plan(glance, { image: { glance: ids.root } });
  assert.deepEqual([bases.map(({ role }) => role), image], [['root'], undefined]);
});

test('the properties of an image shape the plan', async (t) => {
  const properties = { os_type: 'Windows', hw_disk_bus: 'sata', hw_cdrom_bus: 'usb', img_config_drive: 'mandatory' };
  const glance = await glanceWith(t, { [ids.root]: properties });
  const { disks } = await plan(glance, { image: { glance: ids.root }, configDrive: false });
  assert.deepEqual([disks.ephemerals[0]?.osType, disks.ephemerals[0]?.fileSystem], ['windows', 'xfs']);
  assert.deepEqual([disks.root?.bus, disks.config?.bus], ['sata', 'usb']);
});

test('an image that asks for more than the flavor has, or for what is not known, is refused by name', async (t) => {
  const refusals: readonly (readonly [object, FailureCode, RegExp])[] = [
    [{ min_disk: 11 }, 'FlavorDiskTooSmall', /11 GiB/],
    [{ min_ram: 513 }, 'FlavorMemoryTooSmall', /513 MiB/],
    [{ os_type: 'beos' }, 'SpecInvalid', /"beos"/],
    [{ hw_disk_bus: 'fdc' }, 'HostUnsuitable', /hw_disk_bus is "fdc"/],
    [{ hw_cdrom_bus: 'tape' }, 'HostUnsuitable', /hw_cdrom_bus is "tape"/],
    [{ img_config_drive: 'never' }, 'HostUnsuitable', /img_config_drive is "never"/],
    [{ kernel_id: ids.kernel }, 'ImageNotFound', new RegExp(ids.kernel)],
  ];
  for (const [record, code, words] of refusals) {
    const glance = await glanceWith(t, { [ids.root]: record });
    await assert.rejects(plan(glance, { image: { glance: ids.root } }), failsWith(code, words), JSON.stringify(record));
  }
});

test('kernel and ramdisk are those of the spec, else of the image, and its ramdisk counts only with a kernel', async (t) => {
  const boot = { disk_format: 'aki', container_format: 'aki' };
  const glance = await glanceWith(t, {
    [ids.root]: { kernel_id: ids.kernel, ramdisk_id: ramdiskId },
    [withoutKernelId]: { ramdisk_id: ramdiskId },
    [ids.kernel]: boot,
    [ramdiskId]: { ...boot, disk_format: 'ari', container_format: 'ari' },
    [otherKernelId]: boot,
  });
  const images = async (fields: Record<string, unknown>) => {
    const { bases, disks } = await plan(glance, fields);
    assert.deepEqual(
      disks.bootFiles.map(({ kind }) => kind),
      bases.filter(({ role }) => role !== 'root').map(({ role }) => role),
    );
    return bases.map(({ role, image }) => `${role} ${image.title}`);
  };
  const root = `root ${ids.root}`;
  const image = { glance: ids.root };
  assert.deepEqual(await images({ image }), [root, `kernel ${ids.kernel}`, `ramdisk ${ramdiskId}`]);
  const spec = { image, kernel: { glance: otherKernelId } };
  assert.deepEqual(await images(spec), [root, `kernel ${otherKernelId}`, `ramdisk ${ramdiskId}`]);
  assert.deepEqual(await images({ image: { glance: withoutKernelId } }), [`root ${withoutKernelId}`]);
});
