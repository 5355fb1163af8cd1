import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { removeFacts, writeFacts } from '../../../hypervisor/image-store/base-facts.ts';
import { addClaim } from '../../../hypervisor/image-store/claims.ts';
import { hashFile } from '../../../hypervisor/image-store/maintenance/hash-file.ts';
import { listCache } from '../../../hypervisor/image-store/maintenance/list-cache.ts';
import { pinBase } from '../../../hypervisor/image-store/maintenance/pins.ts';
import { recordBaseHash, scrubCache } from '../../../hypervisor/image-store/maintenance/scrub-cache.ts';
import { releaseBaseImage } from '../../../hypervisor/image-store/release-base-image.ts';
import type { StoreMaintenance } from '../../../hypervisor/image-store/store-settings.ts';
import { closeLibvirt } from '../../../hypervisor/libvirt/libvirt.ts';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { named, orderOf, putBase, swept, testCache } from '../../fixtures/test-cache.ts';

after(closeLibvirt);

const mebibyte = 2 ** 20;
const control = { signal: AbortSignal.timeout(120_000), onProgress: () => undefined };
const timeoutMs = 60_000;
const fast = { bytesPerSecond: 2 ** 34 };

async function scrub(maintenance: StoreMaintenance) {
  return await scrubCache(maintenance, { names: null, force: true }, control);
}

async function flip(path: string, position: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, position);
  byte.writeUInt8(byte.readUInt8() ^ 1);
  await file.write(byte, 0, 1, position);
  await file.close();
}

test('the hash is of the bytes, wherever the holes are; it sees each bit, a moved piece and a changed length', async (t) => {
  const { paths } = await testCache(t);
  const hash = async (path: string): Promise<string> => (await hashFile({ path, ...fast }, control)).hash;
  const piece = Buffer.alloc(65_536, 'piece');
  const sparse = join(paths.cache, 'sparse');
  const full = join(paths.cache, 'full');
  for (const path of [sparse, full]) {
    await writeFile(path, path === full ? Buffer.alloc(9 * mebibyte + 5) : '');
    await truncate(path, 9 * mebibyte + 5);
    const file = await open(path, 'r+');
    await file.write(piece, 0, piece.length, 3 * mebibyte);
    await file.close();
  }
  assert.ok((await stat(sparse)).blocks < (await stat(full)).blocks);
  const known = await hash(full);
  assert.equal(await hash(sparse), known);
  await flip(sparse, 9 * mebibyte + 4);
  assert.notEqual(await hash(sparse), known);
  await flip(sparse, 9 * mebibyte + 4);
  assert.equal(await hash(sparse), known);
  await truncate(sparse, 9 * mebibyte + 6);
  assert.notEqual(await hash(sparse), known);
  const moved = await open(full, 'r+');
  await moved.write(Buffer.alloc(piece.length), 0, piece.length, 3 * mebibyte);
  await moved.write(piece, 0, piece.length, 4 * mebibyte);
  await moved.close();
  assert.notEqual(await hash(full), known);
});

test('the hashing of a file can be stopped at once', async (t) => {
  const { paths } = await testCache(t);
  const path = await putBase(paths, named('a'), { bytes: 4 * mebibyte });
  const stop = new AbortController();
  const hashing = hashFile(
    { path, bytesPerSecond: 1024 },
    { signal: stop.signal, onProgress: () => stop.abort(new Error('enough')) },
  );
  await assert.rejects(hashing, /enough/);
});

test('a base whose order could not be followed is reported again by the next scrub, with its source', async (t) => {
  const maintenance = await testCache(t);
  const { paths } = maintenance;
  const path = await putBase(paths, named('a'));
  const claim = { instanceId: randomUUID(), operationId: randomUUID() };
  await addClaim(paths, named('a'), claim);
  await scrub(maintenance);
  await flip(path, 5000);
  const [first] = (await scrub(maintenance)).damaged;
  assert.deepEqual(first?.instances, [claim.instanceId]);
  // What a fetch does when it begins; and then its source is away.
  await removeFacts(paths, named('a'));
  await swept(maintenance);
  const [second] = (await scrub(maintenance)).damaged;
  assert.deepEqual(second, first);
});

test('a refetched base has to be what it was; one that was converted another way gets a hash of its own', async (t) => {
  const maintenance = await testCache(t);
  const { paths } = maintenance;
  const path = await putBase(paths, named('a'));
  await recordBaseHash(maintenance, named('a'), control);
  await flip(path, 5000);
  await recordBaseHash(maintenance, named('a'), control);
  assert.equal(
    (await scrub(maintenance)).damaged.length,
    1,
    'the same digest, converted the same way, and other bytes',
  );

  const other = { from: 'part', format: 'qcow2', virtualSizeBytes: mebibyte, fileSizeBytes: 200_000 } as const;
  await writeFacts(paths, orderOf(named('a'), mebibyte), other);
  await writeFile(path, Buffer.alloc(200_000, 'qcow2'));
  const report = await scrub(maintenance);
  assert.deepEqual([report.damaged, report.recordedFiles], [[], 1]);
});

test('a base that became shorter is quarantined, and one that is not claimed any more by anything is forgotten with it', async (t) => {
  const maintenance = await testCache(t, { removeUnusedOriginalMinimumAgeSeconds: 0 });
  const { paths } = maintenance;
  const path = await putBase(paths, named('a'));
  await scrub(maintenance);
  await truncate(path, 1000);
  const [damaged] = (await scrub(maintenance)).damaged;
  assert.match(damaged?.quarantinedAs ?? '', /^a{40}\.damaged-[0-9a-f]{8}$/);
  const [listed] = (await listCache(maintenance)).files;
  assert.deepEqual([listed?.kind, listed?.state, listed?.title], ['quarantined', 'damaged', 'aaaa']);
  assert.deepEqual(await swept(maintenance), [damaged?.quarantinedAs]);
  for (const folder of [paths.cache, paths.bases, paths.scrubs]) assert.deepEqual(await readdir(folder), []);
});

test('a base on a disk with a bad block is quarantined, and the others are compared all the same', async (t) => {
  const maintenance = await testCache(t);
  const { paths } = maintenance;
  await onSmallDisk(t, paths.cache, async (disk) => {
    await putBase(paths, named('a'));
    // So that the next one is further to the end of the disk than everything else.
    await putBase(paths, named('f'), { bytes: 30 * mebibyte });
    const path = await putBase(paths, named('b'), { bytes: 4 * mebibyte });
    await runProgram('sync', ['-f', path], { timeoutMs });
    const { stdout } = await runProgram('filefrag', ['-b4096', '-v', path], { timeoutMs });
    const block = Math.max(...[...stdout.matchAll(/:\s+(\d+)\.\.\s*\d+:\s+\d+:/g)].map(([, at]) => Number(at)));
    assert.ok(block * 4096 > 8 * mebibyte, stdout);
    const forget = ['oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none'];
    await runProgram('dd', [`of=${path}`, ...forget], { timeoutMs });
    await truncate(disk, block * 4096);
    await assert.rejects(readFile(path), { code: 'EIO' });
    const { damaged, checkedFiles } = await scrub(maintenance);
    assert.deepEqual([damaged.map(({ name }) => name), checkedFiles], [[named('b')], 3]);
  });
});

/**
 * Runs with a file system of its own in a folder, whose disk is a file that may be cut off. Skips where that cannot be.
 */
async function onSmallDisk(t: TestContext, folder: string, work: (disk: string) => Promise<void>): Promise<void> {
  const disk = join(folder, '..', 'disk.img');
  await writeFile(disk, '');
  await truncate(disk, 64 * mebibyte);
  await runProgram('mkfs.ext4', ['-q', '-b', '4096', '-O', '^has_journal', disk], { timeoutMs });
  try {
    await runProgram('mount', ['-o', 'loop', disk, folder], { timeoutMs });
  } catch (error) {
    t.skip(`no file system can be mounted here: ${String(error).slice(0, 200)}`);
    return;
  }
  try {
    await work(disk);
  } finally {
    await runProgram('umount', [folder], { timeoutMs });
  }
}

test('a pin outlives its file, and can be taken away', async (t) => {
  const maintenance = await testCache(t);
  const { paths } = maintenance;
  const path = await putBase(paths, named('a'));
  assert.equal(await pinBase(paths, named('a'), true), true);
  assert.equal(await pinBase(paths, named('a'), true), false);
  assert.equal(((await stat(`${paths.pins}/${named('a')}`)).mode & 0o777).toString(8), '600');
  await rm(path);
  assert.equal(await pinBase(paths, named('a'), false), true);
  await assert.rejects(pinBase(paths, named('a'), false), { code: 'ImageNotFound' });
});

test('the last release leaves Nova’s partial files of the same name alone', async (t) => {
  const { paths } = await testCache(t);
  const claim = { instanceId: randomUUID(), operationId: randomUUID() };
  await putBase(paths, named('a'));
  await addClaim(paths, named('a'), claim);
  for (const suffix of ['part', 'converted']) await writeFile(`${paths.cache}/${named('a')}.${suffix}`, 'of Nova');
  await releaseBaseImage(paths, named('a'), claim);
  assert.deepEqual(
    (await readdir(paths.cache)).sort(),
    ['', '.converted', '.part'].map((suffix) => named('a') + suffix),
  );
});

test('a sweep removes our own notes: refusals that are over, facts and leases of nothing, partial ones', async (t) => {
  const maintenance = await testCache(t);
  const { paths } = maintenance;
  const [old, fresh] = [{ atMs: 1 }, { atMs: Date.now() }].map((refusal) => JSON.stringify(refusal));
  await writeFile(`${paths.refusals}/old.json`, old ?? '');
  await writeFile(`${paths.refusals}/fresh.json`, fresh ?? '');
  await writeFile(`${paths.refusals}/x.json.0a1b2c3d.everboot-tmp`, '{');
  await writeFile(`${paths.fetches}/${named('a')}.json`, '{}');
  await writeFile(`${paths.scrubs}/${named('a')}.json`, '{}');
  await writeFile(`${paths.bases}/${named('a')}.json.0a1b2c3d.everboot-tmp`, '{');
  await mkdir(`${paths.claims}/${named('a')}`);
  await swept(maintenance);
  assert.deepEqual((await readdir(paths.refusals)).sort(), ['fresh.json']);
  for (const folder of [paths.fetches, paths.scrubs, paths.bases, paths.claims]) {
    assert.deepEqual(await readdir(folder), [], folder);
  }
});
