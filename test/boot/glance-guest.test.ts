import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeGuestImage } from '../../cli/demo/guest-image.ts';
import { assertCleanSlate, domainIds } from '../fixtures/clean-slate.ts';
import { startGlance, type TestGlance } from '../fixtures/glance.ts';
import { untilReported } from '../fixtures/guest-console.ts';
import { makeQcow2Image } from '../fixtures/images.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';
import { stateDirectory } from '../fixtures/state-directory.ts';

let glance: TestGlance;
let up: RunningEverboot;
before(async () => {
  glance = await startGlance();
  const toml = `[glance]\napi_servers = ["${glance.endpoint}/v2"]\nnum_retries = 1\nimage_fetch_timeout = 5\n`;
  up = await startEverboot({ command: 'up', toml });
});
after(async () => {
  await up?.stop();
  await glance?.stop();
});

const flavor = { vcpus: 1, memoryMb: 256, rootGb: 1, ephemeralGb: 1, swapMb: 64 };
const sshKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMoSW69KH7F76XKmBFTAdiWaFKSfGiQGLupNKWk0jVEo test';

test('an image uploaded to a real Glance boots as a real guest, which sees all that was made for it', async () => {
  const folder = join(up.folder, 'guest-image');
  const guest = await makeGuestImage(join(stateDirectory(), 'guest', 'root'), folder, AbortSignal.timeout(120_000));
  const image = await glance.upload(guest.path, { name: 'tiny', disk_format: 'qcow2', min_disk: 1 });
  const spec = { name: 'from-glance', hostname: 'guest-1', flavor, image: { glance: image }, sshKeys: [sshKey] };
  const { code, document } = await up.json(['create', '-f', '-'], spec);
  assert.equal(code, 0, JSON.stringify(document));
  assert.equal(document.state, 'running');
  const { instanceId, directory } = document;

  const report = await untilReported(directory);
  assert.equal(report.hostname, 'guest-1');
  assert.deepEqual(report.sshKeys, [sshKey]);
  const labels = report.disks.map(({ label }) => label);
  for (const label of ['ephemeral0', 'config-2', 'cloudimg-rootfs']) assert.ok(labels.includes(label), label);
  assert.equal(report.swap.length, 1);

  const again = await up.json(['create', '-f', '-'], { ...spec, id: instanceId });
  assert.deepEqual(again.document, document, 'the same create again answers with what is there');
  const other = await up.json(['create', '-f', '-'], { ...spec, id: instanceId, name: 'another' });
  assert.equal(other.document.error.code, 'InstanceExists');

  assert.deepEqual((await up.json(['delete', instanceId])).document, { instanceId, host: up.host, existed: true });
  assert.ok(!(await domainIds()).includes(instanceId));
  await assertCleanSlate(up.paths, [instanceId]);
  assert.equal((await up.json(['delete', instanceId])).code, 0, 'deleting what is not there succeeds');
});

test('an instance that is being created is deleted: the boot is cancelled first, and nothing is left', async () => {
  const image = await makeQcow2Image(up.folder);
  const id = await glance.upload(image.path, { name: 'cancelled', disk_format: 'qcow2' });
  const spec = { name: 'short-lived', flavor, image: { glance: id }, boot: 'defined' };
  const { document } = await up.json(['create', '-f', '-', '--detach'], spec);
  const deleted = await up.json(['delete', document.instanceId]);
  assert.equal(deleted.code, 0, JSON.stringify(deleted.document));
  await assertCleanSlate(up.paths, [document.instanceId]);
});

test('an image that Glance does not know', async () => {
  const id = randomUUID();
  const { code, document } = await up.json(['create', '-f', '-'], {
    name: 'unknown',
    flavor,
    image: { glance: randomUUID() },
    id,
    boot: 'disks',
  });
  assert.equal(code, 1);
  assert.equal(document.error.code, 'ImageNotFound');
  assert.equal(document.error.step, 'planInstance');
  await assertCleanSlate(up.paths, [id]);
});

test('a raw label on a qcow2, which Glance accepts, is refused by the host', async () => {
  const image = await makeQcow2Image(up.folder, 'mislabelled.qcow2');
  const glanceId = await glance.upload(image.path, { name: 'mislabelled', disk_format: 'raw' });
  const id = randomUUID();
  const spec = { name: 'mislabelled', flavor, image: { glance: glanceId }, id, boot: 'disks' };
  const { code, document } = await up.json(['create', '-f', '-'], spec);
  assert.equal(code, 3);
  assert.equal(document.error.code, 'ImageUnacceptable');
  await assertCleanSlate(up.paths, [id]);
});

test('Glance goes away and comes back: the boot waits and continues by itself', async () => {
  const image = await makeQcow2Image(up.folder, 'late.qcow2');
  const glanceId = await glance.upload(image.path, { name: 'late', disk_format: 'qcow2' });
  await glance.stop();
  const spec = { name: 'late', flavor: { ...flavor, swapMb: 0 }, image: { glance: glanceId }, boot: 'disks' };
  const creating = up.json(['create', '-f', '-'], spec);
  await sleep(1500);
  await glance.start();
  const { code, document } = await creating;
  assert.equal(code, 0, JSON.stringify(document));
  await up.json(['delete', document.instanceId]);
  await assertCleanSlate(up.paths, [document.instanceId]);
});
