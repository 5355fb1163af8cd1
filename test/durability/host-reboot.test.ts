import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readBootId } from '../../hypervisor/files/boot-id.ts';
import { closeLibvirt, domainState } from '../../hypervisor/libvirt/libvirt.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { holdPrograms, isConverting, programsOn, signal } from '../fixtures/host-programs.ts';
import { asQcow2, makeRawImage, type TestImage } from '../fixtures/images.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';
import { serveSlowly } from '../fixtures/slow-image-server.ts';
import { startOwnTemporalServer, type TestTemporalServer } from '../fixtures/temporal-server.ts';
import { until } from '../fixtures/until.ts';

const uri = 'qemu:///system';
const mebibyte = 2 ** 20;
const flavor = { vcpus: 1, memoryMb: 64, rootGb: 1, ephemeralGb: 0, swapMb: 0 };

let temporal: TestTemporalServer;
let folder: string;
let worker: RunningEverboot;
before(async () => {
  temporal = await startOwnTemporalServer();
  folder = await mkdtemp('/var/tmp/everboot-test-');
  const mkfs = await slowMkfs();
  worker = await startEverboot({
    command: 'worker',
    toml: `[libvirt]
      resume_guests_state_on_host_boot = true
      virt_mkfs = ["linux=${mkfs} %(fs_label)s %(target)s"]`,
    environment: { TEMPORAL_ADDRESS: temporal.address },
    times: 'short',
    folder,
  });
});
after(async () => {
  await closeLibvirt();
  await worker.stop();
  await rm(folder, { recursive: true, force: true });
  await temporal.stop();
});

/** A mkfs that has made its file system, and does not end while the file `hold` is there. */
async function slowMkfs(): Promise<string> {
  const path = join(folder, 'mkfs.slow');
  const wait = `while [ -e ${folder}/hold ]; do sleep 0.1; done`;
  await writeFile(path, `#!/bin/sh\nmkfs.ext4 -q -F -L "$1" "$2" || exit\n${wait}\n`, { mode: 0o755 });
  return path;
}

async function create(name: string, spec: object, ...options: string[]): Promise<string> {
  const { code, document } = await worker.json(['create', '-f', '-', ...options], { name, flavor, ...spec });
  assert.equal(code, 0, JSON.stringify(document));
  return document.instanceId;
}

async function untilReady(id: string): Promise<void> {
  await until(`the end of ${id}`, async () => {
    const { document } = await worker.json(['show', id]);
    assert.notEqual(document.phase, 'Failed', JSON.stringify(document));
    return document.phase === 'Ready';
  });
}

/** The host's notes that carry the boot in which it wrote them, which is therefore another one after the reboot. */
async function notesOfThisBoot(): Promise<string[]> {
  const found: string[] = [];
  for (const folder of [worker.paths.instances, worker.stateDirectory]) {
    for (const name of await readdir(folder, { recursive: true })) {
      const path = join(folder, name);
      if (name.endsWith('.json') && (await readFile(path, 'utf8')).includes('"bootId"')) found.push(path);
    }
  }
  return found;
}

/**
 * Takes what a crash of the machine takes: every process of the host, and with them the locks they hold and the sockets
 * they listen on; of a fetch, what was not synced; and the boot id that notes were made under. Files and libvirt's
 * persistent domains stay.
 */
async function crash(): Promise<void> {
  await worker.kill('SIGKILL');
  for (const { pid } of programsOn(worker.folder)) signal(pid, 'SIGKILL');
  await until('the end of every process of the host', () => programsOn(worker.folder).length === 0);
  for (const path of await notesOfThisBoot()) {
    const note = JSON.parse(await readFile(path, 'utf8'));
    await writeFile(path, JSON.stringify({ ...note, bootId: 'the boot before' }));
    if (path.endsWith('.part.json')) await truncate(path.replace(/\.json$/, ''), note.syncedBytes);
  }
}

/** Waits until the reconciliation at the worker's start has seen to the guests: then the note is of this start. */
async function untilGuestsAreSeenTo(): Promise<readonly string[]> {
  const note = async () => JSON.parse(await readFile(worker.paths.guests, 'utf8').catch(() => '{}'));
  const bootId = await readBootId();
  await until('the note of the guests', async () => (await note()).bootId === bootId);
  return (await note()).off;
}

async function states(ids: readonly string[]): Promise<unknown[]> {
  return await Promise.all(ids.map((id) => domainState(uri, id)));
}

async function assertDiskIs(id: string, { path }: TestImage, format: string): Promise<void> {
  const disk = join(worker.paths.instances, id, 'disk');
  await runProgram('qemu-img', ['compare', '-U', '-f', format, '-F', 'qcow2', path, disk], { timeoutMs: 60_000 });
}

/** An ephemeral disk's file system, checked by its own program; throws where it is not whole. */
async function assertFileSystemIsWhole(id: string): Promise<void> {
  const raw = join(worker.folder, 'local.raw');
  const disk = join(worker.paths.instances, id, 'disk.local');
  await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', disk, raw], { timeoutMs: 60_000 });
  await runProgram('e2fsck', ['-f', '-n', raw], { timeoutMs: 60_000 });
}

test('after a crash of the machine builds continue where they were, and the guests that ran run again', async () => {
  const small = await makeRawImage(worker.folder, 'small.raw', mebibyte);
  const local = { image: { file: small.path, digest: small.digest, format: 'raw' } };
  const [ran, off] = [await create('ran', local), await create('off', local)];
  await runProgram('virsh', ['-c', uri, 'destroy', off], { timeoutMs: 20_000 });
  assert.equal((await worker.json(['host', 'reconcile'])).code, 0);
  assert.deepEqual(JSON.parse(await readFile(worker.paths.guests, 'utf8')).off, [off]);

  const downloaded = await makeRawImage(worker.folder, 'downloaded.raw', 64 * mebibyte);
  const converted = await asQcow2(await makeRawImage(worker.folder, 'converted.raw', 160 * mebibyte));
  const source = Object.assign(await serveSlowly(downloaded.path, 5 * mebibyte), { holdAtBytes: 48 * mebibyte });
  const release = holdPrograms(worker.folder, isConverting);
  await writeFile(join(folder, 'hold'), '');
  try {
    const url = { url: source.url, digest: downloaded.digest, format: 'raw' };
    const downloading = await create('downloading', { image: url, boot: 'disks' }, '--detach');
    const file = { file: converted.path, digest: converted.digest, format: 'qcow2' };
    const converting = await create('converting', { image: file, boot: 'disks' }, '--detach');
    const blank = { flavor: { ...flavor, rootGb: 0, ephemeralGb: 1 }, boot: 'disks' };
    const formatting = await create('formatting', blank, '--detach');
    const isFormatting = (words: readonly string[]): boolean => words.includes(join(folder, 'mkfs.slow'));
    const isAt = (isIt: (words: readonly string[]) => boolean): boolean =>
      programsOn(worker.folder).some(({ words }) => isIt(words));
    await until('a conversion and a file system in the making', () => isAt(isConverting) && isAt(isFormatting));
    const sidecar = async () => {
      const names = (await readdir(worker.paths.cache)).filter((name) => name.endsWith('.part.json'));
      const texts = names.map((name) => readFile(join(worker.paths.cache, name), 'utf8').catch(() => '{}'));
      const notes = (await Promise.all(texts)).map((text) => JSON.parse(text));
      return notes.find(({ totalBytes }) => totalBytes === 64 * mebibyte);
    };
    await until('a download with something synced', async () => (await sidecar())?.syncedBytes > 0);

    release();
    await crash();
    await rm(join(folder, 'hold'));
    const { syncedBytes } = await sidecar();
    assert.deepEqual(await states([ran, off]), ['shut off', 'shut off']);
    Object.assign(source, { bytesPerSecond: 400 * mebibyte, holdAtBytes: Infinity });
    await worker.start();

    assert.deepEqual(await untilGuestsAreSeenTo(), [off]);
    assert.deepEqual(await states([ran, off]), ['running', 'shut off']);
    for (const id of [downloading, converting, formatting]) await untilReady(id);
    assert.deepEqual(source.offsets, [0, syncedBytes], 'the download continued at its byte');
    await assertDiskIs(downloading, downloaded, 'raw');
    await assertDiskIs(converting, converted, 'qcow2');
    await assertFileSystemIsWhole(formatting);

    // Without the option a guest that ran stays off as well.
    await writeFile(join(worker.folder, 'everboot.toml'), '');
    await crash();
    await worker.start();
    assert.deepEqual(await untilGuestsAreSeenTo(), [ran, off].sort());
    assert.deepEqual(await states([ran, off]), ['shut off', 'shut off']);

    const all = [ran, off, downloading, converting, formatting];
    for (const id of all) assert.equal((await worker.json(['delete', id])).code, 0);
    await assertCleanSlate(worker.paths, all);
  } finally {
    release();
    await source.close();
  }
});
