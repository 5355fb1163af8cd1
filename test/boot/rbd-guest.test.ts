import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeGuestImage } from '../../cli/demo/guest-image.ts';
import { parseGuestReport } from '../../cli/demo/guest-report.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { cephImagePool, cephPool, startCeph, type TestCeph } from '../fixtures/ceph.ts';
import { cephToml } from '../fixtures/ceph-host.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { digestOf } from '../fixtures/images.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';
import { stateDirectory } from '../fixtures/state-directory.ts';

const secretUuid = randomUUID();
const glanceImage = randomUUID();
const flavor = { vcpus: 1, memoryMb: 256, rootGb: 1, ephemeralGb: 1, swapMb: 64 };

let ceph: TestCeph;
let glance: Server;
let up: RunningEverboot;
let requests: string[];
before(async () => {
  ceph = await startCeph();
  await defineSecret();
  requests = [];
  glance = createServer((request, response) => {
    requests.push(request.url ?? '');
    response.end(JSON.stringify(record));
  });
  await new Promise<void>((resolve) => glance.listen(0, '127.0.0.1', resolve));
  const { port } = glance.address() as AddressInfo;
  // Guests of other suites make the machine slow, which is not what this one is about.
  const toml = `${cephToml(ceph, 5)}rbd_secret_uuid = "${secretUuid}"\n[glance]\napi_servers = ["http://127.0.0.1:${port}"]\n`;
  up = await startEverboot({ command: 'up', toml });
});
after(async () => {
  await up?.stop();
  glance?.close();
  await virsh('secret-undefine', secretUuid).catch(() => undefined);
  await ceph?.stop();
});

/** The image's record in Glance with an rbd store in this cluster; the store itself is not asked for anything. */
let record: object = {};

async function virsh(...args: string[]): Promise<string> {
  return (await runProgram('virsh', ['-c', 'qemu:///system', ...args], { timeoutMs: 120_000 })).stdout;
}

/** The key that QEMU shows to the cluster. */
async function defineSecret(): Promise<void> {
  const xml = join(ceph.folder, 'secret.xml');
  const usage = `<usage type='ceph'><name>everboot test ${secretUuid}</name></usage>`;
  await writeFile(xml, `<secret ephemeral='yes' private='yes'><uuid>${secretUuid}</uuid>${usage}</secret>`);
  await virsh('secret-define', xml);
  await virsh('secret-set-value', secretUuid, '--base64', await ceph.userKey());
}

async function guestImage() {
  const folder = join(up.folder, 'guest-image');
  return await makeGuestImage(join(stateDirectory(), 'guest', 'root'), folder, AbortSignal.timeout(120_000));
}

async function untilReported(directory: string) {
  const deadline = Date.now() + 180_000;
  for (;;) {
    const report = parseGuestReport(await readFile(join(directory, 'console.log'), 'utf8'));
    if (report.done) return report;
    assert.ok(Date.now() < deadline, 'the guest did not report within three minutes');
    await sleep(500);
  }
}

async function parentOf(instanceId: string): Promise<{ readonly pool: string; readonly image: string }> {
  const { parent } = JSON.parse(await ceph.rbd('info', '--format', 'json', `${cephPool}/${instanceId}_disk`));
  return parent;
}

async function bootAndDelete(spec: object): Promise<{ readonly pool: string; readonly image: string }> {
  const { code, document } = await up.json(['create', '-f', '-'], {
    name: 'in-ceph',
    hostname: 'guest-1',
    flavor,
    ...spec,
  });
  assert.equal(code, 0, JSON.stringify(document));
  const { instanceId, directory, disks } = document;
  const inPool = ['disk', 'disk.local', 'disk.swap'].map((name) => ({
    name,
    path: `rbd:${cephPool}/${instanceId}_${name}`,
  }));
  const made = disks.map(({ name, path }: { name: string; path: string }) => ({ name, path }));
  assert.deepEqual(made, [...inPool, { name: 'disk.config', path: `${directory}/disk.config` }]);

  const report = await untilReported(directory);
  assert.equal(report.hostname, 'guest-1');
  const labels = report.disks.map(({ label }) => label);
  for (const label of ['ephemeral0', 'config-2', 'cloudimg-rootfs']) assert.ok(labels.includes(label), label);
  assert.equal(report.swap.length, 1);

  const parent = await parentOf(instanceId);
  const deleted = await up.json(['delete', instanceId]);
  assert.equal(deleted.code, 0, JSON.stringify(deleted.document));
  await assertCleanSlate(up.paths, [instanceId]);
  const left = JSON.parse(await ceph.rbd('ls', '--format', 'json', cephPool)) as string[];
  assert.deepEqual(
    left.filter((name) => !name.startsWith('everboot_base_')),
    [],
  );
  return parent;
}

test('a guest boots from disks in a Ceph pool, made of an image that is imported once', async () => {
  const { path, digest } = await guestImage();
  const image = { file: path, digest, format: 'qcow2' };
  const first = await bootAndDelete({ image });
  assert.equal(first.pool, cephPool);
  assert.match(first.image, /^everboot_base_[0-9a-f]{40}_[0-9a-f]{8}$/);
  const { code, document } = await up.json(['create', '-f', '-'], { name: 'again', flavor, image, boot: 'disks' });
  assert.equal(code, 0, JSON.stringify(document));
  assert.equal((await parentOf(document.instanceId)).image, first.image, 'the image of the first boot');
  await up.json(['delete', document.instanceId]);
});

test('a guest boots from a clone of the image that Glance keeps in the same Ceph, and nothing is fetched', async () => {
  const { path } = await guestImage();
  const raw = join(up.folder, 'guest.raw');
  await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', path, raw], { timeoutMs: 60_000 });
  const stored = `${cephImagePool}/${glanceImage}`;
  await ceph.rbd('import', '--no-progress', raw, stored);
  await ceph.rbd('snap', 'create', '--no-progress', `${stored}@snap`);
  await ceph.rbd('snap', 'protect', `${stored}@snap`);
  const [, hash] = (await digestOf(raw)).split(':');
  record = {
    ...{ id: glanceImage, name: 'tiny', status: 'active', disk_format: 'raw', container_format: 'bare' },
    ...{ size: (await stat(raw)).size, os_hash_algo: 'sha256', os_hash_value: hash, hw_disk_bus: 'virtio' },
    direct_url: `rbd://${ceph.fsid}/${cephImagePool}/${glanceImage}/snap`,
  };
  const parent = await bootAndDelete({ image: { glance: glanceImage } });
  assert.deepEqual([parent.pool, parent.image], [cephImagePool, glanceImage]);
  assert.ok(requests.length > 0 && requests.every((url) => url === `/v2/images/${glanceImage}`), requests.join(', '));
});

test('Ceph being away while a boot is planned is waited for', async () => {
  const { path, digest } = await guestImage();
  await ceph.killOsd();
  const spec = { name: 'late', flavor: { ...flavor, ephemeralGb: 0, swapMb: 0 }, boot: 'disks' };
  const creating = up.json(['create', '-f', '-'], { ...spec, image: { file: path, digest, format: 'qcow2' } });
  await sleep(2000);
  await ceph.startOsd();
  const { code, document } = await creating;
  assert.equal(code, 0, JSON.stringify(document));
  await up.json(['delete', document.instanceId]);
  await assertCleanSlate(up.paths, [document.instanceId]);
});
