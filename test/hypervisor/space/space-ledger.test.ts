import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { MockActivityEnvironment } from '@temporalio/testing';
import type { Host } from '../../../activities/context/host.ts';
import { createRootDisk } from '../../../activities/create-root-disk.ts';
import type { Configuration } from '../../../domain/configuration.ts';
import { EverbootFailure } from '../../../domain/failures.ts';
import { hostPaths } from '../../../domain/host-paths.ts';
import { prepareFolders } from '../../../hypervisor/host/prepare-host.ts';
import { writeInstanceRecord } from '../../../hypervisor/instance/instance-record.ts';
import { promiseSpace, returnSpace } from '../../../hypervisor/space/space-ledger.ts';
import { testConfiguration } from '../../fixtures/test-host.ts';

const mebibyte = 2 ** 20;
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-ledger-'));
});
after(() => rm(folder, { recursive: true, force: true }));

/** A small file system of the test's own; undefined, with the test skipped, where mounting is not permitted. */
async function smallFileSystem(t: TestContext, sizeMib: number): Promise<string | undefined> {
  const directory = await mkdtemp(join(folder, 'mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMib}m`, 'none', directory], { stdio: 'pipe' });
  } catch (error) {
    t.skip(`this machine cannot mount a tmpfs: ${(error as Error).message}`);
    return undefined;
  }
  t.after(() => execFileSync('umount', [directory]));
  return directory;
}

const ledger = new URL('../../../hypervisor/space/space-ledger.ts', import.meta.url).href;
/** Ten builds of one process that ask at once; prints how many were promised what they asked for. */
const builds = `
  const { promiseSpace } = await import(${JSON.stringify(ledger)});
  const [paths, bytes, reservedBytes] = JSON.parse(process.argv[1]);
  const asked = Array.from({ length: 10 }, () => {
    const claim = { instanceId: crypto.randomUUID(), operationId: crypto.randomUUID() };
    const path = paths.instances + '/' + claim.instanceId;
    return promiseSpace(paths, { claim, purpose: 'disk-disk', path, bytes, reservedBytes }).then(() => 1, (error) => {
      if (error.code !== 'InsufficientSpace') throw error;
      return 0;
    });
  });
  console.log((await Promise.all(asked)).reduce((sum, one) => sum + one, 0));
`;

test('fifty builds that ask at once, in several processes, are promised no more than there is', async (t) => {
  const mounted = await smallFileSystem(t, 256);
  if (mounted === undefined) return;
  const paths = hostPaths(mounted, '_base');
  await prepareFolders(paths);
  const [wantedBytes, reservedBytes] = [20 * mebibyte, 16 * mebibyte];
  const { bavail, bsize } = await statfs(mounted);
  const order = JSON.stringify([paths, wantedBytes, reservedBytes]);
  const granted = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const asking = spawn(process.execPath, ['--input-type=module', '-e', builds, order]);
      let said = '';
      asking.stdout.on('data', (text) => {
        said += text;
      });
      const [code] = await once(asking, 'close');
      assert.equal(code, 0);
      return Number(said);
    }),
  );
  const promises = granted.reduce((sum, one) => sum + one, 0);
  // The promises themselves take a page each, so that the last one may have to be refused.
  const most = Math.floor((bavail * bsize - reservedBytes) / wantedBytes);
  assert.ok(promises === most || promises === most - 1, `${promises} promises, and room for ${most}`);
  assert.equal((await readdir(paths.ledger)).length, promises);
});

test('what is written of a promise counts once, and a promise that is given back is free again', async (t) => {
  const mounted = await smallFileSystem(t, 64);
  if (mounted === undefined) return;
  const paths = hostPaths(mounted, '_base');
  await prepareFolders(paths);
  const ask = async (bytes: number) => {
    const claim = { instanceId: randomUUID(), operationId: randomUUID() };
    const path = join(mounted, claim.instanceId);
    await promiseSpace(paths, { claim, purpose: 'disk-disk', path, bytes, reservedBytes: 0 });
    return { claim, path };
  };
  const first = await ask(40 * mebibyte);
  await assert.rejects(ask(30 * mebibyte), { code: 'InsufficientSpace' });
  await writeFile(first.path, Buffer.alloc(40 * mebibyte, 1));
  await ask(20 * mebibyte);
  await rm(first.path);
  await assert.rejects(ask(30 * mebibyte), { code: 'InsufficientSpace' });
  await returnSpace(paths, first.claim);
  await ask(30 * mebibyte);
});

/** A host whose instances are on that file system. */
async function hostOn(mounted: string, libvirt: Partial<Configuration['libvirt']>): Promise<Host> {
  const known = await testConfiguration(mounted, 'test');
  const paths = hostPaths(join(mounted, 'instances'), '_base');
  await mkdir(paths.instances);
  await prepareFolders(paths);
  const configuration = { ...known, libvirt: { ...known.libvirt, ...libvirt } };
  return { configuration, paths, stateDirectory: mounted };
}

async function makeRoot(host: Host, format: 'raw' | 'qcow2', sizeBytes: number) {
  const claim = { instanceId: randomUUID(), operationId: randomUUID() };
  const directory = join(host.paths.instances, claim.instanceId);
  await mkdir(directory);
  const createdAt = '2026-01-01T00:00:00.000Z';
  const known = { name: 'web-1', host: 'test', specDigest: 'd', cacheNames: [], state: 'building', createdAt } as const;
  await writeInstanceRecord(directory, { version: 1, claim, ...known });
  const path = join(host.paths.cache, 'base');
  await writeFile(path, Buffer.alloc(mebibyte, 1));
  await truncate(path, 2 * mebibyte);
  const base = { cacheName: 'base', path, format: 'raw', virtualSizeBytes: 2 * mebibyte } as const;
  const disk = { kind: 'root', name: 'disk', format, sizeBytes, device: 'vda', bus: 'virtio' } as const;
  const made = new MockActivityEnvironment().run(() => createRootDisk(host, { claim, disk, base }));
  return { directory, made: await made.catch((error: unknown) => error) };
}

test('a disk that is larger than what is free is made as an overlay or with holes, and not with its space taken', async (t) => {
  const mounted = await smallFileSystem(t, 150);
  if (mounted === undefined) return;
  const host = await hostOn(mounted, { preallocateImages: 'none' });
  for (const format of ['qcow2', 'raw'] as const) {
    const { made } = await makeRoot(host, format, 200 * mebibyte);
    assert.equal((made as { virtualSizeBytes?: number }).virtualSizeBytes, 200 * mebibyte, String(made));
  }
  const { libvirt } = host.configuration;
  const taking = {
    ...host,
    configuration: { ...host.configuration, libvirt: { ...libvirt, preallocateImages: 'space' } },
  };
  for (const format of ['qcow2', 'raw'] as const) {
    const { directory, made } = await makeRoot(taking as Host, format, 200 * mebibyte);
    assert.ok(made instanceof EverbootFailure && made.code === 'InsufficientSpace', String(made));
    assert.match(made.message, /needs 200 MiB in .*, where 1\d\d MiB may be used \(0 KiB are promised/);
    assert.ok(!(await readdir(directory)).includes('disk'));
  }
  assert.deepEqual(await readdir(host.paths.ledger), []);
});
