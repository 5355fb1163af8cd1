import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import type { Claim } from '../../domain/claim.ts';
import type { ImageCacheSettings } from '../../domain/configuration.ts';
import { type HostPaths, hostPaths } from '../../domain/host-paths.ts';
import type { BaseImageOrder } from '../../domain/image.ts';
import { prepareFolders } from '../../hypervisor/host/prepare-host.ts';
import { writeFacts } from '../../hypervisor/image-store/base-facts.ts';
import { claimBlankBase } from '../../hypervisor/image-store/claim-blank-base.ts';
import { addClaim, removeClaim } from '../../hypervisor/image-store/claims.ts';
import { backingChain } from '../../hypervisor/image-store/maintenance/backing-chain.ts';
import { listCache } from '../../hypervisor/image-store/maintenance/list-cache.ts';
import { pinBase } from '../../hypervisor/image-store/maintenance/pins.ts';
import { scrubCache } from '../../hypervisor/image-store/maintenance/scrub-cache.ts';
import { sweepCache } from '../../hypervisor/image-store/maintenance/sweep-cache.ts';
import type { StoreMaintenance } from '../../hypervisor/image-store/store-settings.ts';
import { closeLibvirt, defineDomain, removeDomain, startDomain } from '../../hypervisor/libvirt/libvirt.ts';
import { tryKernelLock } from '../../hypervisor/locks/kernel-lock.ts';
import { lockKeys } from '../../hypervisor/locks/lock-keys.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';

after(closeLibvirt);

const mebibyte = 2 ** 20;
const control = { signal: AbortSignal.timeout(120_000), onProgress: () => undefined };
const oldMs = 3 * 86_400_000;

/** The name that an image with this letter has. */
const named = (letter: string): string => letter.repeat(40);

async function cacheOf(t: TestContext, changes: Partial<ImageCacheSettings> = {}): Promise<StoreMaintenance> {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-maintenance-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const paths = hostPaths(join(folder, 'instances'), '_base');
  await prepareFolders(paths);
  const settings: ImageCacheSettings = {
    ...{ subdirectoryName: '_base', removeUnusedOriginalMinimumAgeSeconds: 86_400, maxBytes: null },
    ...{ managerInterval: 2400, scrubInterval: 604_800, scrubBytesPerSecond: 2 ** 34 },
    ...changes,
  };
  return { host: 'maintenance', paths, settings, connectionUri: 'test:///default' };
}

/** An image of ours in the cache, used so long ago. */
async function base(paths: HostPaths, cacheName: string, { ageMs = oldMs, bytes = mebibyte } = {}): Promise<string> {
  const reference = { file: `/images/${cacheName}`, digest: `sha256:${'ab'.repeat(32)}`, format: 'raw' } as const;
  const known = { title: cacheName.slice(0, 4), format: 'raw', sizeBytes: bytes, digest: null } as const;
  const image = { reference, ...known, minDiskGb: 0, minRamMb: 0, properties: {} };
  const order: BaseImageOrder = { role: 'root', cacheName, image, forceRaw: true };
  await writeFacts(paths, order, { from: 'part', format: 'raw', virtualSizeBytes: bytes, fileSizeBytes: bytes });
  const path = `${paths.cache}/${cacheName}`;
  await writeFile(path, Buffer.alloc(bytes, cacheName));
  await age(path, ageMs);
  return path;
}

async function age(path: string, ageMs = oldMs): Promise<void> {
  const then = new Date(Date.now() - ageMs);
  await utimes(path, then, then);
}

async function swept(maintenance: StoreMaintenance, dryRun = false): Promise<string[]> {
  return (await sweepCache(maintenance, { dryRun }, control)).removed.map(({ name }) => name).sort();
}

/** A domain of the driver without machines, with this file as its disk. */
function domainOn(path: string, { instanceId, operationId }: Claim): string {
  return `<domain type='test'><name>maintenance-${instanceId.slice(0, 8)}</name><uuid>${instanceId}</uuid>
    <metadata><everboot:instance xmlns:everboot='urn:everboot:instance:1'>
      <everboot:claim instance='${instanceId}' operation='${operationId}'/></everboot:instance></metadata>
    <memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type>hvm</type></os>
    <devices><disk type='file' device='disk'><source file='${path}'/><target dev='vda'/></disk></devices></domain>`;
}

describe('a sweep', () => {
  test('keeps a disk’s backing file, though no claim names it, and that file’s own', async (t) => {
    const maintenance = await cacheOf(t);
    const { paths } = maintenance;
    const used = await base(paths, named('a'));
    await base(paths, named('b'));
    const directory = join(paths.instances, randomUUID());
    await mkdir(directory);
    const between = join(directory, 'disk.between');
    const create = ['create', '-q', '-f', 'qcow2', '-F'];
    await runProgram('qemu-img', [...create, 'raw', '-b', used, between], { timeoutMs: 120_000 });
    const snapshot = join(paths.instances, 'snapshot.qcow2');
    await runProgram('qemu-img', [...create, 'qcow2', '-b', between, snapshot], { timeoutMs: 120_000 });
    assert.deepEqual(await backingChain(snapshot), [between, used]);
    assert.deepEqual(await swept(maintenance), [named('b')]);
  });

  test('keeps what a domain of libvirt uses, running or not', async (t) => {
    const maintenance = await cacheOf(t);
    const path = await base(maintenance.paths, named('c'));
    const claim = { instanceId: randomUUID(), operationId: randomUUID() };
    await defineDomain(maintenance.connectionUri, domainOn(path, claim), claim);
    assert.deepEqual(await swept(maintenance), []);
    assert.deepEqual((await listCache(maintenance)).files[0]?.users, [claim.instanceId]);
    await startDomain(maintenance.connectionUri, claim);
    assert.deepEqual(await swept(maintenance), []);
    await removeDomain(maintenance.connectionUri, claim);
    assert.deepEqual(await swept(maintenance), [named('c')]);
  });

  test('removes no image where libvirt does not answer, and says so', async (t) => {
    const maintenance = { ...(await cacheOf(t)), connectionUri: 'qemu+unix:///system?socket=/nowhere/libvirt-sock' };
    await base(maintenance.paths, named('d'));
    const report = await sweepCache(maintenance, { dryRun: false }, control);
    assert.deepEqual(report.removed, []);
    assert.match(report.notes.join(), /no image was removed, because it is not known what libvirt's domains use/);
  });

  test('goes below the budget, the least recently used first, and says when that is not possible', async (t) => {
    const maintenance = await cacheOf(t, {
      maxBytes: 2 * mebibyte,
      removeUnusedOriginalMinimumAgeSeconds: 10 * 86_400,
    });
    const { paths } = maintenance;
    for (const [index, letter] of ['1', '2', '3', '4'].entries()) {
      await base(paths, named(letter), { ageMs: (4 - index) * 3_600_000 });
    }
    await pinBase(paths, named('2'), true);
    assert.deepEqual(await swept(maintenance, true), [named('1'), named('3')]);
    assert.deepEqual(await swept(maintenance), [named('1'), named('3')]);
    await addClaim(paths, named('4'), { instanceId: randomUUID(), operationId: randomUUID() });
    const tight = { ...maintenance, settings: { ...maintenance.settings, maxBytes: 10 } };
    const report = await sweepCache(tight, { dryRun: false }, control);
    assert.deepEqual(report.removed, []);
    assert.match(report.notes.join(), /over max_bytes by \d+ bytes/);
  });

  test('removes orphaned files of fetches; Nova’s partial files stay', async (t) => {
    const maintenance = await cacheOf(t);
    const { paths } = maintenance;
    const files = [
      // Ours: a sidecar says so.
      [`${named('5')}.part`, true],
      [`${named('5')}.part.json`, true],
      // Nova's: nothing of ours knows them.
      [`${named('6')}.part`, false],
      [`${named('6')}.converted`, false],
      [named('7'), false],
      ['swap_128', false],
      // Claimed: a build continues with it.
      [`${named('8')}.part`, false],
      [`${named('8')}.part.json`, false],
      // Being written at this moment.
      [`${named('9')}.0a1b2c3d.everboot-tmp`, false],
      [`ephemeral_1_abcdef0.0a1b2c3d.everboot-tmp`, true],
    ] as const;
    for (const [name] of files) {
      await writeFile(join(paths.cache, name), '{}');
      await age(join(paths.cache, name));
    }
    await addClaim(paths, named('8'), { instanceId: randomUUID(), operationId: randomUUID() });
    const writing = await tryKernelLock({ lockFile: paths.locks, key: lockKeys.fetch(named('9')).text });
    const expected = files.filter(([, goes]) => goes).map(([name]) => name);
    assert.deepEqual(await swept(maintenance, true), [...expected].sort());
    assert.deepEqual(await swept(maintenance), [...expected].sort());
    await writing?.release();
    const left = await readdir(paths.cache);
    assert.deepEqual(
      left.sort(),
      files
        .filter(([, goes]) => !goes)
        .map(([name]) => name)
        .sort(),
    );
  });

  test('takes blank disks that everboot made, and distinguishes them from Nova’s', async (t) => {
    const maintenance = await cacheOf(t);
    const claim = { instanceId: randomUUID(), operationId: randomUUID() };
    const path = await claimBlankBase(
      maintenance.paths,
      { claim, cacheName: 'swap_16' },
      control.signal,
      async (at) => {
        await writeFile(at, Buffer.alloc(4096));
      },
    );
    await writeFile(join(maintenance.paths.cache, 'swap_32'), Buffer.alloc(4096));
    for (const name of ['swap_16', 'swap_32']) await age(join(maintenance.paths.cache, name));
    assert.deepEqual(await swept(maintenance), [], 'it is claimed');
    await rm(`${maintenance.paths.claims}/swap_16`, { recursive: true });
    assert.deepEqual(await swept(maintenance), ['swap_16']);
    await assert.rejects(stat(path), { code: 'ENOENT' });
  });

  test('that is killed at any moment leaves each file whole with its mark, or gone', {
    timeout: 120_000,
  }, async (t) => {
    const maintenance = await cacheOf(t, { removeUnusedOriginalMinimumAgeSeconds: 0 });
    const { paths } = maintenance;
    const module = new URL('../../hypervisor/image-store/maintenance/sweep-cache.ts', import.meta.url).href;
    const script = `
      const { sweepCache } = await import(${JSON.stringify(module)});
      process.stdout.write('ready');
      for (;;) await sweepCache(JSON.parse(process.env.MAINTENANCE), { dryRun: false }, { signal: new AbortController().signal, onProgress() {} });`;
    for (let round = 0; round < 6; round += 1) {
      const letters = [...'abcdef0123456789'];
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        env: { MAINTENANCE: JSON.stringify(maintenance) },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      t.after(() => child.kill('SIGKILL'));
      await once(child.stdout, 'data');
      for (const letter of letters) {
        // As a build does: claimed before it is made, and released afterwards.
        const claim = { instanceId: randomUUID(), operationId: randomUUID() };
        await addClaim(paths, named(letter), claim);
        await base(paths, named(letter), { bytes: 4096 });
        await removeClaim(paths, named(letter), claim);
      }
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
      const foreign = (await listCache(maintenance)).files.filter(({ kind }) => kind === 'foreign');
      assert.deepEqual(foreign, [], `round ${round}: a file lost its mark`);
    }
    await sweepCache(maintenance, { dryRun: false }, control);
    assert.deepEqual(await readdir(paths.cache), []);
    assert.deepEqual(await readdir(paths.bases), []);
  });
});

describe('a scrub', () => {
  test('records the hash of what is new, compares what is due, and finds a changed byte', async (t) => {
    const maintenance = await cacheOf(t);
    const path = await base(maintenance.paths, named('a'));
    await truncate(path, 8 * mebibyte);
    const scrub = (force = false) => scrubCache(maintenance, { names: null, force }, control);
    assert.equal((await scrub()).recordedFiles, 1);
    assert.equal((await scrub()).checkedFiles, 0, 'nothing is due');
    // The same bytes with the hole filled are the same bytes.
    const file = await open(path, 'r+');
    await file.write(Buffer.alloc(4096), 0, 4096, 5 * mebibyte);
    assert.deepEqual((await scrub(true)).damaged, []);
    await file.write(Buffer.from([1]), 0, 1, 5 * mebibyte);
    await file.close();
    const { damaged } = await scrub(true);
    assert.equal(damaged[0]?.name, named('a'));
    assert.equal(damaged[0]?.order?.image.title, 'aaaa');
    assert.deepEqual(await readdir(maintenance.paths.cache), [damaged[0]?.quarantinedAs]);
  });

  test('reports a base that is gone from under a disk, so that it is fetched again', async (t) => {
    const maintenance = await cacheOf(t);
    const path = await base(maintenance.paths, named('b'));
    const claim = { instanceId: randomUUID(), operationId: randomUUID() };
    await addClaim(maintenance.paths, named('b'), claim);
    await rm(path);
    const { damaged } = await scrubCache(maintenance, { names: null, force: false }, control);
    assert.deepEqual(
      damaged.map(({ name, quarantinedAs, instances }) => [name, quarantinedAs, instances]),
      [[named('b'), null, [claim.instanceId]]],
    );
  });

  test('keeps a damaged file for as long as a process has it open', async (t) => {
    const maintenance = await cacheOf(t, { removeUnusedOriginalMinimumAgeSeconds: 0 });
    const path = await base(maintenance.paths, named('c'));
    await scrubCache(maintenance, { names: null, force: false }, control);
    const guest = await open(path, 'r+');
    await guest.write(Buffer.from('rotten'), 0, 6, 0);
    const { damaged } = await scrubCache(maintenance, { names: [named('c')], force: true }, control);
    assert.equal(damaged.length, 1);
    assert.deepEqual(await swept(maintenance), []);
    await guest.close();
    assert.deepEqual(await swept(maintenance), [damaged[0]?.quarantinedAs]);
  });

  test('of a name that the cache does not have fails', async (t) => {
    const maintenance = await cacheOf(t);
    await assert.rejects(scrubCache(maintenance, { names: ['../locks'], force: true }, control), {
      code: 'ImageNotFound',
    });
    await assert.rejects(pinBase(maintenance.paths, '../locks', true), { code: 'ImageNotFound' });
  });
});
