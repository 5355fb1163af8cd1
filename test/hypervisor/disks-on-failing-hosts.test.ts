import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PlannedRootDisk } from '../../domain/disk-plan.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { BaseImage } from '../../domain/image.ts';
import type { StepProgress, WorkControl } from '../../domain/step-progress.ts';
import { makeRootDisk } from '../../hypervisor/disks/root-disk.ts';
import { makeFailingFolder } from '../durability/harness/small-file-systems.ts';
import { makeBlankBase, makeBlankDisk } from '../fixtures/blank-disks.ts';
import { countProcesses } from '../fixtures/processes.ts';

const mebibyte = 2 ** 20;
const control: WorkControl = { signal: new AbortController().signal, onProgress: () => undefined };
const device = { device: 'vda', bus: 'virtio' } as const;
const root: PlannedRootDisk = { kind: 'root', name: 'disk', format: 'raw', sizeBytes: 100 * mebibyte, ...device };
const shape = { sizeBytes: 64 * mebibyte, fileSystem: 'ext4', label: 'ephemeral0' };
const ephemeral = { kind: 'ephemeral', name: 'disk.local', format: 'raw', ...shape, ...device } as const;
const swap = { kind: 'swap', name: 'disk.swap', format: 'raw', sizeBytes: 64 * mebibyte, ...device } as const;

let folder: string;
let base: BaseImage;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-failing-'));
  const path = join(folder, 'base.raw');
  run('dd', ['if=/dev/urandom', `of=${path}`, 'bs=1M', 'count=48', 'status=none']);
  await truncate(path, 64 * mebibyte);
  base = { cacheName: 'base.raw', path, format: 'raw', virtualSizeBytes: 64 * mebibyte };
});
after(async () => {
  await rm(folder, { recursive: true, force: true });
});

function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Mounts something for the length of one test; undefined, with the test skipped, where that is not permitted. */
async function mounted(t: TestContext, args: readonly string[]): Promise<string | undefined> {
  const directory = await mkdtemp(join(folder, 'mount-'));
  try {
    run('mount', [...args, directory]);
  } catch (error) {
    t.skip(`this machine cannot mount ${args.join(' ')}: ${(error as Error).message}`);
    return undefined;
  }
  t.after(() => run('umount', [directory]));
  return directory;
}

/** A full disk shows as our own failure from programs, and as the system's error from Node. */
function isOutOfSpace(error: unknown): boolean {
  if (error instanceof EverbootFailure) return error.code === 'InsufficientSpace';
  return (error as NodeJS.ErrnoException).code === 'ENOSPC';
}

test('a full disk fails every disk with InsufficientSpace, and leaves nothing', async (t) => {
  const directory = await mounted(t, ['-t', 'tmpfs', '-o', 'size=16m', 'none']);
  if (directory === undefined) return;
  const context = { directory, preallocate: 'none', heldLocks: [] } as const;
  const space = { ...context, preallocate: 'space' } as const;
  const qcow2Base = { ...base, format: 'qcow2', path: join(folder, 'base.qcow2') } as const;
  run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', base.path, qcow2Base.path]);
  const steps = {
    'raw copy': () => makeRootDisk(root, base, context, control),
    'raw from qcow2': () => makeRootDisk(root, qcow2Base, context, control),
    'preallocated overlay': () => makeRootDisk({ ...root, format: 'qcow2' }, base, space, control),
    'preallocated ephemeral': () => makeBlankDisk(ephemeral, null, space, control),
    'preallocated swap': () => makeBlankDisk(swap, null, space, control),
  };
  for (const [name, step] of Object.entries(steps)) {
    await assert.rejects(step(), isOutOfSpace, name);
    assert.deepEqual(await readdir(directory), [], name);
  }
  run('sh', ['-c', 'cat /dev/zero > "$1"/filler 2>&- || true', '-', directory]);
  await assert.rejects(makeBlankBase(`${directory}/base`, ephemeral, control), isOutOfSpace);
  await assert.rejects(makeBlankDisk(swap, null, context, control), isOutOfSpace);
  await assert.rejects(makeRootDisk({ ...root, format: 'qcow2' }, base, context, control), isOutOfSpace);
  assert.deepEqual(await readdir(directory), ['filler']);
});

test('a file system of which a write was lost is never published, though mke2fs says nothing of it', async () => {
  const failing = await makeFailingFolder(folder);
  const { directory } = failing;
  const disk = { ...ephemeral, sizeBytes: 8 * mebibyte };
  const lostWrites = [10, 50] as const;
  const context = { directory, preallocate: 'none', heldLocks: [] } as const;
  const makers = [
    () => makeBlankBase(`${directory}/base`, disk, control),
    () => makeBlankDisk(disk, null, context, control),
  ];
  try {
    await failing.break(lostWrites);
    run('truncate', ['-s', `${disk.sizeBytes}`, `${directory}/silent`]);
    run('mkfs.ext4', ['-q', '-F', `${directory}/silent`]);
    await rm(`${directory}/silent`);
    for (const make of makers) {
      await failing.break(lostWrites);
      await assert.rejects(make, { code: 'HostIoError' });
      await failing.mend();
      assert.deepEqual(await readdir(directory), []);
    }
    for (const make of makers) await make();
    for (const name of ['base', 'disk.local']) run('e2fsck', ['-f', '-n', `${directory}/${name}`]);
  } finally {
    await failing.unmount();
  }
});

test('where the file system can, a raw root disk shares the blocks of its base', async (t) => {
  const device = join(folder, 'xfs.img');
  run('truncate', ['-s', '512M', device]);
  run('mkfs.xfs', ['-q', '-m', 'reflink=1', device]);
  const directory = await mounted(t, ['-o', 'loop', device]);
  if (directory === undefined) return;
  const near = { ...base, path: `${directory}/base.raw` };
  run('cp', ['--sparse=always', base.path, near.path]);
  run('sync', ['-f', directory]);
  const context = { directory, preallocate: 'none', heldLocks: [] } as const;
  const { path } = await makeRootDisk(root, near, context, control);
  assert.match(run('filefrag', ['-v', path]), /shared/);
  run('qemu-img', ['compare', '-q', '-f', 'raw', '-F', 'raw', path, near.path]);
});

test('a file system that cannot reserve space is reported once, and the disk is made', async (t) => {
  const device = join(folder, 'ext2.img');
  run('truncate', ['-s', '64M', device]);
  run('mkfs.ext2', ['-q', '-F', device]);
  const directory = await mounted(t, ['-o', 'loop', device]);
  if (directory === undefined) return;
  await mkdir(`${directory}/i`);
  const notes: (string | undefined)[] = [];
  const onProgress = ({ note }: StepProgress) => void notes.push(note);
  const context = { directory: `${directory}/i`, preallocate: 'space', heldLocks: [] } as const;
  const made = await makeBlankDisk({ ...swap, sizeBytes: 8 * mebibyte }, null, context, { ...control, onProgress });
  assert.equal((await stat(made.path)).size, 8 * mebibyte);
  assert.equal(notes.filter((note) => note?.includes('cannot reserve space')).length, 1);
  const overlay = await makeRootDisk({ ...root, format: 'qcow2' }, base, context, { ...control, onProgress });
  assert.equal(overlay.backingFile, base.path);
  assert.equal(notes.filter((note) => note?.includes('cannot reserve space')).length, 2, 'once for each disk');
});

test('after kill -9 in the middle of a copy there is no disk, the copy ends, and the next run makes it', async () => {
  const directory = await mkdtemp(join(folder, 'killed-'));
  const context = { directory, preallocate: 'none', heldLocks: [] } as const;
  // The copy waits in front of an empty pipe, so that the kill is always in its middle.
  const pipe = join(folder, 'slow-base');
  run('mkfifo', [pipe]);
  const code = `
    import { makeRootDisk } from ${JSON.stringify(new URL('../../hypervisor/disks/root-disk.ts', import.meta.url).href)};
    const [disk, base, context] = JSON.parse(process.argv[1]);
    await makeRootDisk(disk, base, context, { signal: new AbortController().signal, onProgress: () => undefined });
  `;
  const slow = JSON.stringify([root, { ...base, path: pipe }, context]);
  const worker = spawn(process.execPath, ['--input-type=module', '-e', code, slow], { stdio: 'ignore' });
  const copies = () => countProcesses('cp', pipe);
  while ((await copies()) === 0) await sleep(20);
  worker.kill('SIGKILL');
  await once(worker, 'exit');
  for (let attempt = 0; attempt < 6000 && (await copies()) > 0; attempt++) await sleep(20);
  assert.equal(await copies(), 0, 'the copy dies with its worker');
  const left = await readdir(directory);
  assert.ok(left.length === 1 && left[0]?.endsWith('.everboot-tmp'), `${left}`);

  const made = await makeRootDisk(root, base, context, control);
  assert.equal(made.virtualSizeBytes, 100 * mebibyte);
  run('qemu-img', ['compare', '-q', '-f', 'raw', '-F', 'raw', made.path, base.path]);
});
