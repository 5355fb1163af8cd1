import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import type { PlannedEphemeralDisk, PlannedRootDisk, PlannedSwapDisk } from '../../domain/disk-plan.ts';
import { EverbootFailure, type FailureCode } from '../../domain/failures.ts';
import type { BaseImage } from '../../domain/image.ts';
import type { StepProgress, WorkControl } from '../../domain/step-progress.ts';
import { copyBootFile } from '../../hypervisor/disks/boot-file.ts';
import type { DiskContext } from '../../hypervisor/disks/disk-context.ts';
import { makeRootDisk } from '../../hypervisor/disks/root-disk.ts';
import { makeBlankBase, makeBlankDisk } from '../fixtures/blank-disks.ts';

const mebibyte = 2 ** 20;
const control: WorkControl = { signal: new AbortController().signal, onProgress: () => undefined };
const device = { device: 'vda', bus: 'virtio' } as const;

let folder: string;
let rawBase: BaseImage;
let qcow2Base: BaseImage;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-disks-'));
  const path = join(folder, 'base.raw');
  // Data, a hole, data: 12 MiB of 64.
  run('dd', ['if=/dev/urandom', `of=${path}`, 'bs=1M', 'count=8', 'status=none']);
  run('dd', ['if=/dev/urandom', `of=${path}`, 'bs=1M', 'count=4', 'seek=40', 'conv=notrunc', 'status=none']);
  await truncate(path, 64 * mebibyte);
  rawBase = { cacheName: 'base.raw', path, format: 'raw', virtualSizeBytes: 64 * mebibyte };
  qcow2Base = { ...rawBase, cacheName: 'base.qcow2', path: join(folder, 'base.qcow2'), format: 'qcow2' };
  run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', '-o', 'cluster_size=128k', path, qcow2Base.path]);
});
after(async () => {
  await rm(folder, { recursive: true, force: true });
});

let context: DiskContext;
beforeEach(async () => {
  context = { directory: await mkdtemp(join(folder, 'instance-')), preallocate: 'none', heldLocks: [] };
});

function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function rootDisk(format: 'raw' | 'qcow2', sizeBytes: number | null): PlannedRootDisk {
  return { kind: 'root', name: 'disk', format, sizeBytes, ...device };
}

function ephemeralDisk(format: 'raw' | 'qcow2', fileSystem = 'ext4'): PlannedEphemeralDisk {
  const shape = { sizeBytes: 64 * mebibyte, fileSystem, label: 'ephemeral0' };
  return { kind: 'ephemeral', name: 'disk.local', format, ...shape, ...device };
}

function swapDisk(format: 'raw' | 'qcow2'): PlannedSwapDisk {
  return { kind: 'swap', name: 'disk.swap', format, sizeBytes: 16 * mebibyte, ...device };
}

function failsWith(code: FailureCode) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code;
}

async function allocatedBytes(path: string): Promise<number> {
  return (await stat(path)).blocks * 512;
}

/** A disk as the guest would read it, in a raw file. */
function guestView(path: string, format: string): string {
  const view = join(folder, `view-${Math.random().toString(36).slice(2)}`);
  run('qemu-img', ['convert', '-f', format, '-O', 'raw', path, view]);
  return view;
}

function contentDigest(path: string, bytes: number): string {
  return run('sh', ['-c', 'head -c "$2" "$1" | sha256sum', '-', path, String(bytes)]);
}

test('a root disk of any backend has the base’s content, then zeros, and its planned size', async () => {
  for (const base of [rawBase, qcow2Base]) {
    for (const format of ['raw', 'qcow2'] as const) {
      const directory = await mkdtemp(join(folder, 'instance-'));
      const made = await makeRootDisk(rootDisk(format, 100 * mebibyte), base, { ...context, directory }, control);
      const path = `${directory}/disk`;
      const backing = format === 'qcow2' ? { backingFile: base.path } : {};
      assert.deepEqual(made, { name: 'disk', path, format, virtualSizeBytes: 100 * mebibyte, ...backing });
      const info = JSON.parse(run('qemu-img', ['info', '-f', format, '--output=json', path]));
      assert.equal(info['virtual-size'], 100 * mebibyte);
      assert.equal(info['backing-filename-format'], format === 'qcow2' ? base.format : undefined);
      if (format === 'qcow2') run('qemu-img', ['check', '-q', '-f', 'qcow2', path]);
      // qemu-img compare takes what is beyond the end of the shorter disk for zeros.
      run('qemu-img', ['compare', '-q', '-f', format, '-F', 'raw', path, rawBase.path]);
      const { mode, uid, gid } = await stat(path);
      assert.deepEqual([mode & 0o777, uid, gid], [0o640, process.getuid?.(), process.getgid?.()]);
      assert.deepEqual(await readdir(directory), ['disk'], 'no temporary file is left');
    }
  }
});

test('an overlay has the clusters of its base', async () => {
  const { path } = await makeRootDisk(rootDisk('qcow2', null), qcow2Base, context, control);
  const info = JSON.parse(run('qemu-img', ['info', '-f', 'qcow2', '--output=json', path]));
  assert.equal(info['cluster-size'], 128 * 1024);
  assert.equal(info['virtual-size'], 64 * mebibyte);
});

test('a raw root disk keeps the holes of its base', async () => {
  const { path } = await makeRootDisk(rootDisk('raw', 1024 * mebibyte), rawBase, context, control);
  assert.equal((await stat(path)).size, 1024 * mebibyte);
  assert.ok((await allocatedBytes(path)) <= 13 * mebibyte, `${await allocatedBytes(path)} bytes are allocated`);
});

test('an image that ends in the middle of a sector makes a disk of whole sectors', async () => {
  const path = join(context.directory, 'odd.raw');
  await writeFile(path, 'x'.repeat(1000));
  const base = { ...rawBase, path, virtualSizeBytes: 1000 };
  for (const format of ['raw', 'qcow2'] as const) {
    const again = { ...context, directory: await mkdtemp(join(folder, 'instance-')) };
    const make = () => makeRootDisk(rootDisk(format, null), base, again, control);
    const made = await make();
    assert.equal(made.virtualSizeBytes, 1024);
    assert.deepEqual(await make(), made);
  }
});

test('a disk that is there already is returned as it is', async () => {
  for (const format of ['raw', 'qcow2'] as const) {
    const directory = await mkdtemp(join(folder, 'instance-'));
    const again = { ...context, directory };
    const make = () => makeRootDisk(rootDisk(format, 100 * mebibyte), rawBase, again, control);
    const first = await make();
    const { ino, mtimeMs } = await stat(first.path);
    assert.deepEqual(await make(), first);
    const second = await stat(first.path);
    assert.deepEqual([second.ino, second.mtimeMs], [ino, mtimeMs]);
  }
});

test('a root disk is made larger when its plan has grown, and never smaller', async () => {
  for (const format of ['raw', 'qcow2'] as const) {
    const again = { ...context, directory: await mkdtemp(join(folder, 'instance-')) };
    const make = (mebibytes: number) => makeRootDisk(rootDisk(format, mebibytes * mebibyte), rawBase, again, control);
    await make(80);
    assert.equal((await make(100)).virtualSizeBytes, 100 * mebibyte);
    const made = await make(70);
    assert.equal(made.virtualSizeBytes, 100 * mebibyte);
    run('qemu-img', ['compare', '-q', '-f', format, '-F', 'raw', made.path, rawBase.path]);
  }
});

test('a qcow2 header that a guest wrote into its raw disk is only bytes of that disk', async () => {
  const make = (mebibytes: number) => makeRootDisk(rootDisk('raw', mebibytes * mebibyte), rawBase, context, control);
  const { path } = await make(80);
  const trap = join(context.directory, 'trap.qcow2');
  run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', '/etc/hostname', trap, '4T']);
  run('dd', [`if=${trap}`, `of=${path}`, 'conv=notrunc', 'status=none']);
  const head = (await readFile(path)).subarray(0, 4096);
  assert.equal((await make(80)).virtualSizeBytes, 80 * mebibyte);
  assert.equal((await make(100)).virtualSizeBytes, 100 * mebibyte);
  assert.equal((await stat(path)).size, 100 * mebibyte);
  assert.deepEqual((await readFile(path)).subarray(0, 4096), head);
});

test('a root disk that is smaller than its image is refused, and nothing is made', async () => {
  for (const format of ['raw', 'qcow2'] as const) {
    const making = makeRootDisk(rootDisk(format, 63 * mebibyte), rawBase, context, control);
    await assert.rejects(making, failsWith('FlavorDiskTooSmall'));
  }
  assert.deepEqual(await readdir(context.directory), []);
});

test('a disk on another base is neither taken nor overwritten', async () => {
  await makeRootDisk(rootDisk('qcow2', null), qcow2Base, context, control);
  const { ino } = await stat(`${context.directory}/disk`);
  const making = makeRootDisk(rootDisk('qcow2', null), rawBase, context, control);
  await assert.rejects(making, failsWith('InstanceExists'));
  assert.equal((await stat(`${context.directory}/disk`)).ino, ino);
});

test('an ephemeral disk has a clean ext4 with its label, made in place or overlaid', async () => {
  const base = join(folder, 'ephemeral_0_test');
  await makeBlankBase(base, ephemeralDisk('qcow2'), control);
  for (const [format, backingFile] of [
    ['raw', null],
    ['qcow2', base],
  ] as const) {
    const directory = await mkdtemp(join(folder, 'instance-'));
    const make = () => makeBlankDisk(ephemeralDisk(format), backingFile, { ...context, directory }, control);
    const made = await make();
    assert.equal(made.virtualSizeBytes, 64 * mebibyte);
    const view = guestView(made.path, format);
    assert.match(run('blkid', ['-p', view]), /LABEL="ephemeral0".*TYPE="ext4"/);
    run('e2fsck', ['-n', '-f', view]);
    assert.deepEqual(await make(), made, 'a second run finds it');
    assert.deepEqual(await readdir(directory), ['disk.local']);
  }
});

test('every file system gets its label', async (t) => {
  for (const [fileSystem, type] of [
    ['ext2', 'ext2'],
    ['ext3', 'ext3'],
    ['ext4', 'ext4'],
    ['vfat', 'vfat'],
    ['xfs', 'xfs'],
    ['btrfs', 'btrfs'],
    ['ntfs', 'ntfs'],
  ] as const) {
    await t.test(fileSystem, async (t) => {
      const directory = await mkdtemp(join(folder, 'instance-'));
      const sizeBytes = (fileSystem === 'xfs' || fileSystem === 'btrfs' ? 400 : 64) * mebibyte;
      const disk = { ...ephemeralDisk('raw', fileSystem), sizeBytes };
      try {
        const { path } = await makeBlankDisk(disk, null, { ...context, directory }, control);
        const found = run('blkid', ['-p', path]);
        assert.match(found, new RegExp(`TYPE="${type}"`));
        assert.match(found, / LABEL="ephemeral0"/i);
      } catch (error) {
        if (!failsWith('ProgramMissing')(error)) throw error;
        assert.deepEqual(await readdir(directory), []);
        t.skip(`${(error as EverbootFailure).message}. ${(error as EverbootFailure).remedy}`);
      }
    });
  }
});

test('the host’s own command for the os type makes the file system, whatever is asked for', async () => {
  const virtMkfs = [
    'default=mkfs.ext3 -q -F -L %(fs_label)s %(target)s',
    'linux=mkfs.ext2 -q -F -L x%(fs_label)s -E root_owner=1000:1000 %(target)s',
  ];
  for (const [osType, expected] of [
    ['linux', /LABEL="xephemeral0".*TYPE="ext2"/],
    ['windows', /LABEL="ephemeral0".*TYPE="ext3"/],
  ] as const) {
    const directory = await mkdtemp(join(folder, 'instance $(touch x) -'));
    const disk = { ...ephemeralDisk('raw', 'vfat'), osType };
    const { path } = await makeBlankDisk(disk, null, { ...context, directory, virtMkfs }, control);
    assert.match(run('blkid', ['-p', path]), expected);
    assert.deepEqual(await readdir(directory), ['disk.local']);
  }
});

test('a plan of an earlier release, which names no os type, gets the file system that it says', async () => {
  const virtMkfs = ['default=mkfs.ext3 -q -F -L %(fs_label)s %(target)s'];
  const { path } = await makeBlankDisk(ephemeralDisk('raw', 'ext2'), null, { ...context, virtMkfs }, control);
  assert.match(run('blkid', ['-p', path]), /TYPE="ext2"/);
});

test('a program of the host’s own command that is not there is reported as missing', async () => {
  const virtMkfs = ['linux=mkfs.toaster %(target)s'];
  const disk = { ...ephemeralDisk('raw'), osType: 'linux' } as const;
  const making = makeBlankDisk(disk, null, { ...context, virtMkfs }, control);
  await assert.rejects(making, (error) => failsWith('ProgramMissing')(error) && /mkfs\.toaster/.test(String(error)));
  assert.deepEqual(await readdir(context.directory), []);
});

test('a disk too small for its file system is refused before anything is made, at the size where its program does', async () => {
  for (const [fileSystem, leastBytes] of [
    ['xfs', 300 * mebibyte],
    ['btrfs', 109 * mebibyte],
  ] as const) {
    const directory = await mkdtemp(join(folder, 'instance-'));
    const disk = { ...ephemeralDisk('raw', fileSystem), sizeBytes: leastBytes - mebibyte };
    await assert.rejects(
      async () => await makeBlankDisk(disk, null, { ...context, directory }, control),
      (error) => failsWith('HostUnsuitable')(error) && /too small for/.test(String(error)),
    );
    assert.deepEqual(await readdir(directory), []);
    const file = join(folder, `small-${fileSystem}`);
    await writeFile(file, '');
    await truncate(file, disk.sizeBytes);
    assert.throws(() => run(`mkfs.${fileSystem}`, ['-q', '-f', file]), /./, 'the program itself refuses it');
    const enough = { ...disk, sizeBytes: leastBytes };
    assert.equal((await makeBlankDisk(enough, null, { ...context, directory }, control)).virtualSizeBytes, leastBytes);
  }
});

test('an unknown file system and a label without room are refused', async () => {
  const unknown = makeBlankDisk(ephemeralDisk('raw', 'befs'), null, context, control);
  await assert.rejects(unknown, /"befs"; expected ext2/);
  const long = { ...ephemeralDisk('raw', 'vfat'), label: 'ephemeral100' };
  await assert.rejects(makeBlankDisk(long, null, context, control), /too long for vfat/);
  assert.deepEqual(await readdir(context.directory), []);
});

test('a swap disk is a swap area, made in place or overlaid', async () => {
  const base = join(folder, 'swap_16');
  await makeBlankBase(base, swapDisk('qcow2'), control);
  for (const [format, backingFile] of [
    ['raw', null],
    ['qcow2', base],
  ] as const) {
    const directory = await mkdtemp(join(folder, 'instance-'));
    const make = () => makeBlankDisk(swapDisk(format), backingFile, { ...context, directory }, control);
    const made = await make();
    assert.equal(made.virtualSizeBytes, 16 * mebibyte);
    assert.match(run('blkid', ['-p', guestView(made.path, format)]), /TYPE="swap"/);
    assert.deepEqual(await make(), made, 'a second run finds it');
  }
});

test('a swap disk of another size is neither taken nor overwritten', async () => {
  await makeBlankDisk(swapDisk('raw'), null, context, control);
  const larger = { ...swapDisk('raw'), sizeBytes: 32 * mebibyte };
  await assert.rejects(makeBlankDisk(larger, null, context, control), failsWith('InstanceExists'));
});

test('a boot file is its base, byte by byte', async () => {
  const base = { ...rawBase, path: '/bin/sh', virtualSizeBytes: (await stat('/bin/sh')).size };
  const make = () => copyBootFile({ kind: 'kernel', name: 'kernel' }, base, context, control);
  const made = await make();
  assert.deepEqual(await readFile(made.path), await readFile('/bin/sh'));
  assert.equal((await stat(made.path)).mode & 0o777, 0o640);
  assert.deepEqual(await make(), made);
});

test('a preallocated disk takes all of its space at once', async () => {
  const space = { ...context, preallocate: 'space' } as const;
  const raw = await makeRootDisk(rootDisk('raw', 100 * mebibyte), rawBase, space, control);
  assert.ok((await allocatedBytes(raw.path)) >= 100 * mebibyte);
  assert.equal((await stat(raw.path)).size, 100 * mebibyte);
  const ephemeral = await makeBlankDisk(ephemeralDisk('raw'), null, space, control);
  assert.ok((await allocatedBytes(ephemeral.path)) >= 64 * mebibyte);
  const overlaid = { ...space, directory: join(context.directory, 'overlay') };
  await mkdir(overlaid.directory);
  const overlay = await makeRootDisk(rootDisk('qcow2', 100 * mebibyte), rawBase, overlaid, control);
  assert.ok((await allocatedBytes(overlay.path)) >= 100 * mebibyte);
  assert.ok((await stat(overlay.path)).size < mebibyte, 'the file itself is no longer');
  run('qemu-img', ['check', '-q', '-f', 'qcow2', overlay.path]);
  const blankBase = join(folder, 'ephemeral_space_test');
  await makeBlankBase(blankBase, ephemeralDisk('qcow2'), control);
  const blank = await makeBlankDisk(ephemeralDisk('qcow2'), blankBase, overlaid, control);
  assert.ok((await allocatedBytes(blank.path)) >= 64 * mebibyte);
  assert.ok((await allocatedBytes(blankBase)) < 64 * mebibyte, 'the base that all share reserves nothing');
  assert.match(run('blkid', ['-p', guestView(blank.path, 'qcow2')]), /LABEL="ephemeral0"/);
});

test('an overlay has the options of Nova’s create_image, and no other', async () => {
  for (const base of [rawBase, qcow2Base]) {
    const directory = await mkdtemp(join(folder, 'instance-'));
    const { path } = await makeRootDisk(rootDisk('qcow2', 100 * mebibyte), base, { ...context, directory }, control);
    const novas = join(directory, 'nova');
    const clusters = base.format === 'qcow2' ? [`cluster_size=${128 * 1024}`] : [];
    const options = [`backing_file=${base.path}`, `backing_fmt=${base.format}`, ...clusters].join(',');
    run('qemu-img', ['create', '-f', 'qcow2', '-o', options, novas]);
    run('qemu-img', ['resize', '-f', 'qcow2', novas, String(100 * mebibyte)]);
    const facts = (file: string) => {
      const info = JSON.parse(run('qemu-img', ['info', '-f', 'qcow2', '--output=json', file]));
      const { filename: _name, 'actual-size': _size, children: _children, ...rest } = info;
      return rest;
    };
    assert.deepEqual(facts(path), facts(novas));
  }
});

test('a copy reports its progress', async () => {
  const reports: StepProgress[] = [];
  const onProgress = (report: StepProgress) => void reports.push(report);
  await makeRootDisk(rootDisk('raw', null), rawBase, context, { ...control, onProgress });
  const occupied = await allocatedBytes(rawBase.path);
  assert.deepEqual(reports.at(-1), { doneBytes: occupied, totalBytes: occupied });
});

test('a cancelled step leaves neither its final nor its temporary name', async () => {
  const steps = [
    (c: WorkControl) => makeRootDisk(rootDisk('raw', 100 * mebibyte), rawBase, context, c),
    (c: WorkControl) => makeRootDisk(rootDisk('raw', 100 * mebibyte), qcow2Base, context, c),
    (c: WorkControl) => makeRootDisk(rootDisk('qcow2', 100 * mebibyte), rawBase, context, c),
    (c: WorkControl) => makeBlankDisk(ephemeralDisk('raw'), null, context, c),
    (c: WorkControl) => makeBlankDisk(swapDisk('raw'), null, context, c),
  ];
  for (const [index, step] of steps.entries()) {
    const controller = new AbortController();
    const making = step({ ...control, signal: controller.signal });
    making.catch(() => undefined);
    // As soon as the temporary file is there, its program is about to run.
    while ((await readdir(context.directory)).length === 0) await new Promise(setImmediate);
    controller.abort(new Error('cancelled by the test'));
    await assert.rejects(making, /cancelled by the test/, `step ${index}`);
    assert.deepEqual(await readdir(context.directory), [], `step ${index}`);
  }
});

test('a base is formatted before it has its name', async () => {
  const cache = join(context.directory, 'cache');
  await mkdir(cache);
  const controller = new AbortController();
  const making = makeBlankBase(`${cache}/base`, ephemeralDisk('qcow2'), {
    ...control,
    signal: controller.signal,
  });
  making.catch(() => undefined);
  while ((await readdir(cache)).length === 0) await new Promise(setImmediate);
  controller.abort(new Error('cancelled by the test'));
  await assert.rejects(making, /cancelled by the test/);
  assert.deepEqual(await readdir(cache), []);
});

test('a descriptor of a held lock reaches the programs that write', async () => {
  const lock = await open(join(context.directory, 'lock'), 'w');
  try {
    const held = { ...context, directory: join(context.directory, 'i'), heldLocks: [lock.fd] };
    await mkdir(held.directory);
    const made = await makeRootDisk(rootDisk('raw', null), rawBase, held, control);
    assert.equal(contentDigest(made.path, 1e6), contentDigest(rawBase.path, 1e6));
  } finally {
    await lock.close();
  }
});
