import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readFile, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { clearInstances, prepareDemoFolder } from '../../cli/demo/demo-folder.ts';
import { newDemoGuest } from '../../cli/demo/demo-guest.ts';
import { parseSpec } from '../../domain/parse-spec.ts';
import { isThere } from '../../hypervisor/files/small-file.ts';
import { readConfiguration } from '../../workers/configuration.ts';

const state = await mkdtemp('/var/tmp/everboot-test-demo-');
await chmod(state, 0o711);
after(() => rm(state, { recursive: true, force: true }));

test('the demo has a configuration of its own, which is a valid one', async () => {
  const folder = await prepareDemoFolder(state, { GLANCE_URL: 'http://127.0.0.1:9292' });
  const text = await readFile(folder.configurationFile, 'utf8');
  const configuration = await readConfiguration({ text, environment: {} });
  assert.equal(configuration.host.instancesPath, join(state, 'demo', 'instances'));
  assert.deepEqual(configuration.host.fileImageRoots, [join(state, 'demo', 'images')]);
  assert.deepEqual(configuration.glance.apiServers, ['http://127.0.0.1:9292']);
  assert.equal(configuration.flavors.demo?.swapMb, 64);
});

test('libvirt’s guests can go through its folders, and see nothing', async () => {
  const folder = await prepareDemoFolder(state, {});
  for (const path of [folder.path, folder.instances]) assert.equal((await stat(path)).mode & 0o777, 0o711);
});

test('instances are elsewhere where the state folder is closed to libvirt’s guests', async () => {
  const closed = join(state, 'closed');
  await mkdir(closed, { mode: 0o700 });
  const { instances } = await prepareDemoFolder(closed, {});
  assert.match(instances, /^\/var\/tmp\/everboot-demo-\d+$/);
  await rmdir(instances);
});

test('settings for another everboot or another Temporal do not reach the demo', async () => {
  const { environment } = await prepareDemoFolder(state, {
    PATH: '/usr/bin',
    EVERBOOT_HOST_INSTANCES_PATH: '/var/lib/nova',
    EVERBOOT_LIBVIRT_CONNECTION_URI: 'qemu:///session',
    TEMPORAL_NAMESPACE: 'production',
  });
  assert.equal(environment.EVERBOOT_HOST_INSTANCES_PATH, undefined);
  assert.equal(environment.TEMPORAL_NAMESPACE, undefined);
  assert.equal(environment.EVERBOOT_LIBVIRT_CONNECTION_URI, 'qemu:///session');
  assert.equal(environment.EVERBOOT_STATE_DIR, join(state, 'demo'));
});

test('a Temporal that is named by its address is used as it is named', async () => {
  const folder = await prepareDemoFolder(state, { TEMPORAL_ADDRESS: 'temporal:7233', TEMPORAL_NAMESPACE: 'demo' });
  assert.equal(folder.usesNamedTemporal, true);
  assert.equal(folder.environment.TEMPORAL_NAMESPACE, 'demo');
});

test('the cache is cleared unless an instance was kept', async () => {
  const folder = await prepareDemoFolder(state, {});
  const kept = join(folder.instances, 'e9798f14-d9d3-4266-8a79-b65c293933e8');
  for (const path of [kept, join(folder.instances, '_base')]) await mkdir(path);
  await clearInstances(folder);
  assert.ok(await isThere(kept));
  await rm(kept, { recursive: true });
  await clearInstances(folder);
  assert.equal(await isThere(folder.instances), false);
});

test('each guest is asked for by a valid spec, under a name of its own', () => {
  const image = { file: '/images/a.qcow2', digest: `sha256:${'0'.repeat(64)}`, format: 'qcow2' } as const;
  const [first, second] = [newDemoGuest(), newDemoGuest()];
  const { spec } = parseSpec(first.spec('host-1', image));
  assert.equal(spec.hostname, first.expected.hostname);
  assert.deepEqual(spec.sshKeys, [first.expected.sshKey]);
  assert.notEqual(first.expected.sshKey, second.expected.sshKey);
});
