import assert from 'node:assert/strict';
import { open, readdir, readFile, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { claimsOn } from '../../hypervisor/image-store/claims.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { digestOf, makeQcow2Image, makeRawImage, type TestImage } from '../fixtures/images.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';

const mebibyte = 2 ** 20;
let up: RunningEverboot;
let image: TestImage;
before(async () => {
  up = await startEverboot({ command: 'up' });
  image = await makeQcow2Image(up.folder);
});
after(() => up.stop());

function spec(name: string, from: TestImage = image) {
  return {
    name,
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 0 },
    image: { file: from.path, digest: from.digest, format: from.path.endsWith('.raw') ? 'raw' : 'qcow2' },
    boot: 'disks',
  };
}

async function done(args: readonly string[], input?: unknown): Promise<any> {
  const { code, document } = await up.json(args, input);
  assert.equal(code, 0, `${args.join(' ')}: ${JSON.stringify(document)}`);
  return document;
}

async function listed(): Promise<any[]> {
  return (await done(['cache', 'list'])).files;
}

async function precached(from: TestImage, ...more: string[]): Promise<string> {
  const format = from.path.endsWith('.raw') ? 'raw' : 'qcow2';
  const document = await done(['cache', 'precache', from.path, '--digest', from.digest, '--format', format, ...more]);
  return document.base.cacheName;
}

/** Makes a cached file look as if nothing had used it for two days. */
async function age(name: string): Promise<void> {
  const then = new Date(Date.now() - 2 * 86_400_000);
  await utimes(join(up.paths.cache, name), then, then);
}

test('an image is fetched before any instance asks for it, and the next boot has nothing to fetch', async () => {
  const name = await precached(image);
  assert.deepEqual(await claimsOn(up.paths, name), [], 'nothing claims it afterwards');
  const [file] = (await listed()).filter((entry) => entry.name === name);
  assert.deepEqual([file.kind, file.state, file.format, file.users], ['image', 'unused', 'raw', []]);
  const { instanceId } = await done(['create', '-f', '-'], spec('warm'));
  const { steps } = await done(['show', instanceId]);
  assert.ok(!steps.some(({ step }: { step: string }) => step === 'downloadImage'));
  const [used] = (await listed()).filter((entry) => entry.name === name);
  assert.deepEqual([used.state, used.users], ['used', [instanceId]]);
  await done(['delete', instanceId]);
});

test('a sweep takes what is old and unused; what an instance uses or an operator pinned stays', async () => {
  const usedImage = await makeRawImage(up.folder, 'used.raw', mebibyte);
  const pinnedImage = await makeRawImage(up.folder, 'pinned.raw', 2 * mebibyte);
  const oldImage = await makeRawImage(up.folder, 'old.raw', 3 * mebibyte);
  const { instanceId, disks } = await done(['create', '-f', '-'], spec('keeper', usedImage));
  const used = disks[0].backingFile.split('/').at(-1);
  const pinned = await precached(pinnedImage, '--pin');
  const old = await precached(oldImage);
  for (const name of [used, pinned, old]) await age(name);

  const dry = await done(['cache', 'sweep', '--dry-run']);
  assert.deepEqual([dry.dryRun, dry.removed.map((file: any) => file.name)], [true, [old]]);
  const swept = await done(['cache', 'sweep']);
  assert.deepEqual(
    swept.removed.map((file: any) => file.name),
    [old],
  );
  const names = await readdir(up.paths.cache);
  assert.ok(names.includes(used) && names.includes(pinned) && !names.includes(old));

  assert.equal((await done(['cache', 'unpin', pinned])).changed, true);
  assert.deepEqual(
    (await done(['cache', 'sweep'])).removed.map((file: any) => file.name),
    [pinned],
  );
  await done(['delete', instanceId]);
});

test('a scrub finds a flipped byte, names the instance, and fetches the same bytes again', async () => {
  const { instanceId, disks } = await done(['create', '-f', '-'], spec('scrubbed'));
  const base: string = disks[0].backingFile;
  await done(['cache', 'scrub', '--all']);
  const sound = await digestOf(base);
  const file = await open(base, 'r+');
  await file.write(Buffer.from([0x55, 0xaa]), 0, 2, mebibyte);
  await file.close();
  assert.notEqual(await digestOf(base), sound);

  const result = await done(['cache', 'scrub', '--all']);
  const [damaged] = result.damaged;
  assert.deepEqual([result.damaged.length, damaged.instances], [1, [instanceId]]);
  assert.equal(result.refetched[0].failure, null);
  assert.equal(await digestOf(base), sound);
  await runProgram('qemu-img', ['check', '-f', 'qcow2', disks[0].path], { timeoutMs: 60_000 });
  assert.ok((await stat(join(up.paths.cache, damaged.quarantinedAs))).isFile());
  const again = await done(['cache', 'scrub', '--all']);
  assert.deepEqual(again.damaged, []);
  await done(['delete', instanceId]);
});

test('what a scrub cannot fetch again is reported with its reason, and the command fails', async () => {
  const gone = await makeRawImage(up.folder, 'gone.raw', 5 * mebibyte);
  const name = await precached(gone);
  await done(['cache', 'scrub', '--all']);
  await runProgram('rm', [gone.path], { timeoutMs: 10_000 });
  const base = await open(join(up.paths.cache, name), 'r+');
  await base.write(Buffer.from([1, 2, 3]), 0, 3, 4096);
  await base.close();
  const { code, document } = await up.json(['cache', 'scrub', '--all']);
  assert.equal(code, 1, JSON.stringify(document));
  assert.equal(document.refetched[0].failure.code, 'ImageNotFound');
  assert.ok(!(await readdir(up.paths.cache)).includes(name), 'nothing is built on it any more');
});

test('Nova’s files in the cache are listed and never touched', async () => {
  const foreign = join(up.paths.cache, 'f'.repeat(40));
  await runProgram('cp', [join(up.folder, 'used.raw'), foreign], { timeoutMs: 10_000 });
  await age('f'.repeat(40));
  await done(['cache', 'sweep']);
  const [file] = (await listed()).filter(({ name }) => name === 'f'.repeat(40));
  assert.deepEqual([file.kind, file.state], ['foreign', 'foreign']);
  assert.deepEqual(await readFile(foreign), await readFile(join(up.folder, 'used.raw')));
});

test('a wrong image, a wrong name and a host that is not there are reported', async () => {
  const unknown = await up.json(['cache', 'pin', 'no-such-file']);
  assert.equal(unknown.code, 1);
  assert.match(unknown.document.error.message, /no-such-file/);
  const path = await up.json(['cache', 'pin', '../locks']);
  assert.notEqual(path.code, 0);
  const reference = await up.json(['cache', 'precache', 'not-an-id']);
  assert.deepEqual([reference.code, reference.document.error.code], [2, 'SpecInvalid']);
  const missing = join(up.folder, 'missing.raw');
  const absent = await up.json(['cache', 'precache', missing, '--digest', image.digest, '--format', 'raw']);
  assert.deepEqual([absent.code, absent.document.error.code], [1, 'ImageNotFound']);
  const nowhere = await up.json(['cache', 'list', '--host', 'nope']);
  assert.deepEqual([nowhere.code, nowhere.document.error.code], [5, 'HostUnreachable']);
  assert.match(nowhere.document.error.message, /no worker of nope/);
});
