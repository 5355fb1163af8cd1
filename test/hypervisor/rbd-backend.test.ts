import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { claimName } from '../../domain/claim.ts';
import type { LibvirtSettings } from '../../domain/configuration.ts';
import type { InstanceDisk, PlannedEphemeralDisk, PlannedRootDisk, RbdSnapshot } from '../../domain/disk-plan.ts';
import { EverbootFailure, type FailureCode } from '../../domain/failures.ts';
import type { BaseImage } from '../../domain/image.ts';
import type { StepProgress, WorkControl } from '../../domain/step-progress.ts';
import type { BackendContext, DiskBackend } from '../../hypervisor/backends/disk-backend.ts';
import { rbdBackend } from '../../hypervisor/backends/rbd-backend.ts';
import { ifInstanceIsFree } from '../../hypervisor/instance/instance-lock.ts';
import { writeInstanceRecord } from '../../hypervisor/instance/instance-record.ts';
import { closeLibvirt } from '../../hypervisor/libvirt/libvirt.ts';
import { isOnThisHost } from '../../hypervisor/reconcile/inventory.ts';
import { removeOrphan } from '../../hypervisor/reconcile/remove-orphan.ts';
import { takeInventory } from '../../hypervisor/reconcile/take-inventory.ts';
import { cephImagePool, cephPool, startCeph, type TestCeph } from '../fixtures/ceph.ts';
import { cephSettings, cephToml, newCephInstance } from '../fixtures/ceph-host.ts';
import { makeRawImage } from '../fixtures/images.ts';
import { testConfiguration } from '../fixtures/test-host.ts';
import { asWorkflow } from './backends/contract.ts';

const mebibyte = 2 ** 20;
const gibibyte = 2 ** 30;
const control: WorkControl = { signal: new AbortController().signal, onProgress: () => undefined };

let ceph: TestCeph;
let settings: LibvirtSettings;
let backend: DiskBackend;
let base: BaseImage;
before(async () => {
  ceph = await startCeph();
  settings = await cephSettings(ceph);
  backend = rbdBackend(settings);
  base = await makeBase('first', 32);
});
after(async () => {
  await ceph?.stop();
});

async function makeBase(cacheName: string, mebibytes: number): Promise<BaseImage> {
  const virtualSizeBytes = mebibytes * mebibyte;
  const { path } = await makeRawImage(ceph.folder, cacheName, virtualSizeBytes);
  return { cacheName, path, format: 'raw', virtualSizeBytes };
}

function rootDisk(clone?: RbdSnapshot): PlannedRootDisk {
  const kept = { format: 'raw', storage: 'rbd', device: 'vda', bus: 'virtio' } as const;
  return { kind: 'root', name: 'disk', ...kept, sizeBytes: gibibyte, ...(clone && { clone }) };
}

function ephemeralDisk(sizeBytes: number): PlannedEphemeralDisk {
  const kept = { format: 'raw', storage: 'rbd', device: 'vdb', bus: 'virtio' } as const;
  return { kind: 'ephemeral', name: 'disk.local', ...kept, sizeBytes, fileSystem: 'ext4', label: 'ephemeral0' };
}

const makeRoot = (context: BackendContext, of = base) => backend.makeRoot(rootDisk(), of, context, control);
const rootOf = ({ claim }: BackendContext): string => `${claim.instanceId}_disk`;

async function images(pool = cephPool): Promise<readonly string[]> {
  return JSON.parse(await ceph.rbd('ls', pool, '--format', 'json')) as string[];
}

async function basesOf({ cacheName }: BaseImage): Promise<readonly string[]> {
  return (await images()).filter((name) => name.startsWith(`everboot_base_${cacheName}_`));
}

interface RbdInfo {
  readonly id: string;
  readonly size: number;
  readonly parent?: { readonly pool: string; readonly image: string; readonly snapshot: string };
}

async function info(image: string): Promise<RbdInfo> {
  return JSON.parse(await ceph.rbd('info', `${cephPool}/${image}`, '--format', 'json')) as RbdInfo;
}

function failsWith(code: FailureCode, words = /./) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code && words.test(error.message);
}

/** The image as Glance with an rbd store would have made it. */
async function glanceImage({ path }: BaseImage): Promise<RbdSnapshot> {
  const image = randomUUID();
  await ceph.rbd('import', '--no-progress', path, `${cephImagePool}/${image}`);
  await ceph.rbd('snap', 'create', '--no-progress', `${cephImagePool}/${image}@snap`);
  await ceph.rbd('snap', 'protect', `${cephImagePool}/${image}@snap`);
  return { pool: cephImagePool, image, snapshot: 'snap' };
}

test('an image is imported once, and every root disk is a copy-on-write clone of it', async () => {
  const instances = [await newCephInstance(ceph), await newCephInstance(ceph)];
  for (const context of instances) await makeRoot(context);
  const [imported, ...others] = await basesOf(base);
  assert.deepEqual(others, []);
  for (const context of instances) {
    const { parent } = await info(rootOf(context));
    assert.deepEqual([parent?.pool, parent?.image, parent?.snapshot], [cephPool, imported, 'everboot']);
  }
  const { size } = await info(imported as string);
  assert.equal(size, base.virtualSizeBytes);
});

test('a reconciliation finds partial images by their names, and removes what one operation left and no other', async (t) => {
  t.after(closeLibvirt);
  const configuration = await testConfiguration(ceph.folder, 'ceph', cephToml(ceph));
  const [doomed, other] = [await newCephInstance(ceph), await newCephInstance(ceph)];
  const { claim, paths } = doomed;
  await writeInstanceRecord(doomed.directory, {
    ...{ version: 1, claim, name: 'web-1', host: 'ceph', specDigest: '', cacheNames: [], state: 'building' },
    ...{ storage: { kind: 'rbd', pool: cephPool }, createdAt: new Date().toISOString() },
  });
  for (const context of [doomed, other]) await makeRoot(context);
  const half = (context: BackendContext): string =>
    `${rootOf(context)}.local.${claimName(context.claim)}.0123abcd.everboot-tmp`;
  for (const context of [doomed, other]) await ceph.rbd('create', `${cephPool}/${half(context)}`, '--size', '4M');

  const inventory = await takeInventory({ paths, libvirt: configuration.libvirt, signal: control.signal });
  const orphan = inventory.orphans.get(claimName(claim));
  assert.ok(orphan !== undefined && isOnThisHost(orphan));
  assert.deepEqual(
    [...orphan.images].sort(),
    [rootOf(doomed), half(doomed)].map((name) => `${cephPool}/${name}`).sort(),
  );
  const others = inventory.orphans.get(claimName(other.claim));
  assert.ok(others !== undefined && !isOnThisHost(others), 'an image alone may be another host’s');
  assert.deepEqual(others.images, [`${cephPool}/${half(other)}`]);

  const record = inventory.records.get(claim.instanceId);
  await ifInstanceIsFree(paths, claim.instanceId, ({ descriptor }) =>
    removeOrphan({ configuration, paths }, orphan, record, { signal: control.signal, descriptor }),
  );
  const left = await images();
  for (const name of [rootOf(doomed), half(doomed)]) assert.ok(!left.includes(name), name);
  for (const name of [rootOf(other), half(other)]) assert.ok(left.includes(name), name);
  await backend.removeDisks(other.claim, control);
});

/** As Temporal does it: a build that finds another one importing its image comes again. */
async function makeWhenFree(context: BackendContext, base: BaseImage): Promise<InstanceDisk> {
  for (;;) {
    try {
      return await makeRoot(context, base);
    } catch (error) {
      if (!(error instanceof EverbootFailure) || error.code !== 'BaseImageBusy') throw error;
    }
  }
}

test('two hosts that import one image at once end with one, and so do builds on one host', async () => {
  const fresh = await makeBase('at-once', 48);
  const here = await Promise.all([1, 2, 3].map(() => newCephInstance(ceph)));
  const elsewhere = await newCephInstance({ ...ceph, folder: join(ceph.folder, 'other-host') });
  const seen = new Set<string>();
  const making = Promise.all([...here, elsewhere].map((context) => makeWhenFree(context, fresh)));
  let isDone = false;
  void making.finally(() => {
    isDone = true;
  });
  while (!isDone) for (const name of await basesOf(fresh)) if (name.endsWith('.everboot-tmp')) seen.add(name);
  await making;
  assert.equal((await basesOf(fresh)).length, 1, 'one base, and nothing partial beside it');
  assert.ok(seen.size <= 2, `no more than one import a host: ${[...seen].join(', ')}`);
  for (const context of [...here, elsewhere]) {
    assert.deepEqual((await info(rootOf(context))).parent?.image, (await basesOf(fresh))[0]);
  }
});

test('an imported image stays when its last clone goes, and is imported again when an operator has removed it', async () => {
  const fresh = await makeBase('removed', 8);
  const [first, second] = [await newCephInstance(ceph), await newCephInstance(ceph)];
  await makeRoot(first, fresh);
  const [imported = ''] = await basesOf(fresh);
  const { id } = await info(imported);
  const snapshot = `${cephPool}/${imported}@everboot`;
  await assert.rejects(ceph.rbd('snap', 'unprotect', snapshot), /busy/, 'nobody removes a disk’s backing file');
  await backend.removeDisks(first.claim, control);
  assert.deepEqual(await basesOf(fresh), [imported]);
  await ceph.rbd('snap', 'unprotect', snapshot);
  await ceph.rbd('snap', 'rm', '--no-progress', snapshot);
  await ceph.rbd('rm', '--no-progress', `${cephPool}/${imported}`);
  await makeRoot(second, fresh);
  assert.deepEqual(await basesOf(fresh), [imported]);
  assert.notEqual((await info(imported)).id, id);
});

test('an image that Glance keeps in the same cluster is cloned from its own snapshot, and nothing is imported', async () => {
  const stored = await makeBase('stored', 16);
  const clone = await glanceImage(stored);
  const context = await newCephInstance(ceph);
  const make = () => backend.makeRoot(rootDisk(clone), null, context, control);
  const made = await make();
  assert.deepEqual(made, {
    name: 'disk',
    path: `rbd:${cephPool}/${rootOf(context)}`,
    format: 'raw',
    virtualSizeBytes: gibibyte,
  });
  assert.deepEqual(await make(), made, 'a second run finds it');
  const { parent } = await info(rootOf(context));
  assert.deepEqual([parent?.pool, parent?.image, parent?.snapshot], [cephImagePool, clone.image, 'snap']);
  assert.deepEqual(await basesOf(stored), []);
  const view = join(ceph.folder, 'view');
  await ceph.rbd('export', '--no-progress', `${cephPool}/${rootOf(context)}`, view);
  execFileSync('qemu-img', ['compare', '-q', '-f', 'raw', '-F', 'raw', view, stored.path]);
  await rm(view);
  await backend.removeDisks(context.claim, control);
  assert.deepEqual(await images(cephImagePool), [clone.image], 'the image of the Glance stays');
});

test('a flavor that is smaller than the image to be cloned is refused before there is a disk', async () => {
  const clone = await glanceImage(base);
  const context = await newCephInstance(ceph);
  const making = backend.makeRoot({ ...rootDisk(clone), sizeBytes: 8 * mebibyte }, null, context, control);
  await assert.rejects(making, failsWith('FlavorDiskTooSmall'));
  assert.ok(!(await images()).some((name) => name.startsWith(context.claim.instanceId)));
});

test('a snapshot that is gone since it was planned is ImageNotFound, and so is one without protection', async () => {
  const clone = await glanceImage(base);
  const context = await newCephInstance(ceph);
  const make = () => backend.makeRoot(rootDisk(clone), null, context, control);
  await ceph.rbd('snap', 'unprotect', `${clone.pool}/${clone.image}@snap`);
  await assert.rejects(make(), failsWith('ImageNotFound'));
  await ceph.rbd('snap', 'rm', '--no-progress', `${clone.pool}/${clone.image}@snap`);
  await assert.rejects(make(), failsWith('ImageNotFound'));
  await ceph.rbd('rm', '--no-progress', `${clone.pool}/${clone.image}`);
  await assert.rejects(make(), failsWith('ImageNotFound'));
});

test('only what holds data is read and sent, however large the disk is', async () => {
  const context = await newCephInstance(ceph);
  const reports: StepProgress[] = [];
  const onProgress = (report: StepProgress) => void reports.push(report);
  const sizeBytes = 200 * gibibyte;
  const made = await backend.makeBlank(ephemeralDisk(sizeBytes), context, { ...control, onProgress });
  assert.equal(made.virtualSizeBytes, sizeBytes);
  const { doneBytes, totalBytes } = reports.at(-1) ?? { doneBytes: 0, totalBytes: 0 };
  assert.equal(doneBytes, totalBytes);
  assert.ok((totalBytes ?? 0) < 2 * gibibyte, `${totalBytes} bytes were sent`);
  await backend.removeDisks(context.claim, control);
});

test('a blank disk of another size is neither taken nor overwritten', async () => {
  const context = await newCephInstance(ceph);
  await backend.makeBlank(ephemeralDisk(64 * mebibyte), context, control);
  const { id } = await info(`${context.claim.instanceId}_disk.local`);
  const larger = backend.makeBlank(ephemeralDisk(128 * mebibyte), context, control);
  await assert.rejects(larger, failsWith('InstanceExists', /67108864 bytes, expected 134217728/));
  assert.equal((await info(`${context.claim.instanceId}_disk.local`)).id, id);
});

test('an image without a claim, or with another operation’s, is neither taken nor removed', async () => {
  const [foreign, mine] = [await newCephInstance(ceph), await newCephInstance(ceph)];
  await ceph.rbd('create', '--size', '8M', `${cephPool}/${rootOf(foreign)}`);
  await makeRoot(mine);
  const again = { ...mine, claim: { ...mine.claim, operationId: randomUUID() } };
  for (const [context, code] of [
    [foreign, 'NotManaged'],
    [again, 'InstanceExists'],
  ] as const) {
    await assert.rejects(makeRoot(context), failsWith(code));
    await backend.removeDisks(context.claim, control);
    await info(rootOf(context));
  }
  await backend.removeDisks({ instanceId: mine.claim.instanceId, operationId: null }, control);
  await backend.removeDisks({ instanceId: foreign.claim.instanceId, operationId: null }, control);
  const left = await images();
  assert.ok(left.includes(rootOf(foreign)), 'Nova may have made it');
  assert.ok(!left.includes(rootOf(mine)), 'a deletion does not ask for the operation');
});

test('a disk with an operator’s snapshot is kept until that is gone, and what was cloned of it always', async () => {
  const context = await newCephInstance(ceph);
  await makeRoot(context);
  const disk = `${cephPool}/${rootOf(context)}`;
  await ceph.rbd('snap', 'create', '--no-progress', `${disk}@backup`);
  await ceph.rbd('snap', 'protect', `${disk}@backup`);
  await ceph.rbd('clone', `${disk}@backup`, `${disk}_copy`);
  const remove = () => backend.removeDisks(context.claim, control);
  await assert.rejects(remove(), failsWith('StorageUnavailable', /has snapshots that everboot did not make/));
  await info(rootOf(context));
  await ceph.rbd('flatten', '--no-progress', `${disk}_copy`);
  await ceph.rbd('snap', 'unprotect', `${disk}@backup`);
  await ceph.rbd('snap', 'rm', '--no-progress', `${disk}@backup`);
  await remove();
  await remove();
  const left = (await images()).filter((name) => name.startsWith(context.claim.instanceId));
  assert.deepEqual(left, [`${rootOf(context)}_copy`], 'the copy inherited the claim, which is not its own');
});

test('a disk that somebody has open is kept, and the failure says so', async (t) => {
  const context = await newCephInstance(ceph);
  await makeRoot(context);
  const disk = `${cephPool}/${rootOf(context)}`;
  const bench = ['bench', '--io-type', 'write', '--io-size', '4K', '--io-total', '100G', disk];
  const user = spawn('rbd', ['--conf', ceph.conf, ...bench], { stdio: 'ignore' });
  const ended = once(user, 'exit');
  t.after(() => user.kill('SIGKILL'));
  while (!/watcher=/.test(await ceph.rbd('status', disk))) assert.equal(user.exitCode, null);
  await assert.rejects(backend.removeDisks(context.claim, control), failsWith('StorageUnavailable', /still open/));
  user.kill('SIGTERM');
  await ended;
  // As long as the cluster does not know that the client is gone, the step is tried again.
  while ((await images()).includes(rootOf(context))) {
    await backend.removeDisks(context.claim, control).catch((error) => assert.equal(error.code, 'StorageUnavailable'));
  }
});

test('an import that is killed in the middle leaves no base, and the next run makes one', async () => {
  const large = await makeBase('killed', 256);
  const context = await newCephInstance(ceph);
  const module = new URL('../../hypervisor/backends/rbd-backend.ts', import.meta.url).href;
  const script = `
    import { rbdBackend } from ${JSON.stringify(module)};
    const [settings, disk, base, context] = JSON.parse(process.argv[1]);
    const control = { signal: new AbortController().signal, onProgress: () => undefined };
    await rbdBackend(settings).makeRoot(disk, base, context, control);`;
  const input = JSON.stringify([settings, rootDisk(), large, context]);
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, input], { stdio: 'inherit' });
  const ended = once(child, 'exit');
  while (!(await basesOf(large)).some((name) => name.includes(claimName(context.claim)))) {
    assert.equal(child.exitCode, null);
  }
  child.kill('SIGKILL');
  await ended;
  assert.ok(
    (await basesOf(large)).every((name) => name.endsWith('.everboot-tmp')),
    'no base has its name',
  );
  await asWorkflow(() => makeRoot(context, large));
  const bases = await basesOf(large);
  assert.equal(bases.length, 1);
  const view = join(ceph.folder, 'view');
  await ceph.rbd('export', '--no-progress', `${cephPool}/${rootOf(context)}`, view);
  await truncate(view, large.virtualSizeBytes);
  execFileSync('cmp', [view, large.path]);
  await rm(view);
});

test('undo removes what a killed import left, whoever would have used it', async () => {
  const { claim } = await newCephInstance(ceph);
  const temporary = `everboot_base_half_00000000.${claimName(claim)}.0a1b2c3d.everboot-tmp`;
  await ceph.rbd('create', '--size', '8M', `${cephPool}/${temporary}`);
  await ceph.rbd('snap', 'create', '--no-progress', `${cephPool}/${temporary}@everboot`);
  await ceph.rbd('snap', 'protect', `${cephPool}/${temporary}@everboot`);
  await backend.removeDisks({ ...claim, operationId: randomUUID() }, control);
  assert.ok((await images()).includes(temporary), 'another operation’s');
  await backend.removeDisks(claim, control);
  assert.ok(!(await images()).includes(temporary));
});

test('a rename that was cut short is completed by the next run', async () => {
  const context = await newCephInstance(ceph);
  await makeRoot(context);
  const image = rootOf(context);
  const temporary = `${image}.${claimName(context.claim)}.0a1b2c3d.everboot-tmp`;
  const { id } = await info(image);
  // What librbd has done when it has written the new name’s object, but not yet the pool’s directory.
  const rados = (args: readonly string[], input?: Buffer) =>
    execFileSync('rados', ['--conf', ceph.conf, '-p', cephPool, ...args], { input });
  const text = (value: string): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(value.length);
    return Buffer.concat([length, Buffer.from(value)]);
  };
  rados(['cp', `rbd_id.${image}`, `rbd_id.${temporary}`]);
  rados(['rmomapkey', 'rbd_directory', `name_${image}`]);
  rados(['setomapval', 'rbd_directory', `name_${temporary}`], text(id));
  rados(['setomapval', 'rbd_directory', `id_${id}`], text(temporary));
  assert.equal((await info(image)).id, id, 'both names lead to the image');
  assert.equal((await info(temporary)).id, id);

  await makeRoot(context);
  const left = (await images()).filter((name) => name.startsWith(context.claim.instanceId));
  assert.deepEqual(left, [image]);
  assert.notEqual((await info(image)).id, id, 'it was made again');
  await backend.removeDisks(context.claim, control);
});

test('a cancelled step leaves no final name, and undo removes the rest', async () => {
  const large = await makeBase('cancelled', 256);
  const context = await newCephInstance(ceph);
  const stop = new AbortController();
  const making = backend.makeRoot(rootDisk(), large, context, { ...control, signal: stop.signal });
  making.catch(() => undefined);
  while ((await basesOf(large)).length === 0);
  stop.abort(new Error('cancelled by the test'));
  await assert.rejects(making, /cancelled by the test/);
  assert.ok((await basesOf(large)).every((name) => name.endsWith('.everboot-tmp')));
  // Ceph takes the killed importer for a watcher for up to half a minute, and the undo is tried again until then.
  await asWorkflow(() => backend.removeDisks(context.claim, control));
  assert.deepEqual(await basesOf(large), []);
  await assert.rejects(stat(`${context.directory}/disk`));
});
