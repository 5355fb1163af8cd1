import assert from 'node:assert/strict';
import { mkdtemp, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { GrowthReport } from '../../../domain/host-activities.ts';
import { growFileSystem } from '../../../hypervisor/injection/grow-file-system.ts';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import type { GuestDisk } from '../../../hypervisor/programs/guestfish.ts';
import { createOverlay } from '../../../hypervisor/programs/qemu-img.ts';
import { guestReader, makeGuestImage, makePartitionedImage } from '../../fixtures/guest-images.ts';
import { withGuestfishControl } from '../../fixtures/injecting.ts';

const folder = await mkdtemp('/var/tmp/everboot-test-grow-');
after(() => rm(folder, { recursive: true, force: true }));
const timeoutMs = 60_000;
const mebibyte = 2 ** 20;

const grow = (disk: GuestDisk): Promise<GrowthReport> =>
  withGuestfishControl(folder, (control) => growFileSystem(disk, control));

test('a bare ext4 in an overlay grows with its disk, and a second run finds it grown', async () => {
  const base = await makeGuestImage(join(folder, 'base'));
  const path = join(folder, 'overlay');
  const control = { signal: new AbortController().signal, onProgress: () => undefined };
  const backing = { backingFile: base, backingFormat: 'raw', clusterSizeBytes: null } as const;
  await createOverlay({ path, ...backing, sizeBytes: 1024 * mebibyte, heldLocks: [] }, control);
  const disk = { path, format: 'qcow2' } as const;
  assert.deepEqual(await grow(disk), {
    resized: true,
    note: `the ext4 was grown from ${64 * mebibyte} to ${1024 * mebibyte} bytes`,
  });
  assert.deepEqual(await grow(disk), {
    resized: false,
    note: 'the file system was left as it is: the ext4 fills the disk already',
  });
  await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', path, `${path}.raw`], { timeoutMs });
  await runProgram('e2fsck', ['-f', '-n', `${path}.raw`], { timeoutMs });
  assert.equal(await guestReader(`${path}.raw`).text('/etc/hostname'), 'guest\n');
});

test('a disk with partitions is left as it is', async () => {
  const path = await makePartitionedImage(join(folder, 'partitioned'), join(folder, 'base'));
  await truncate(path, 200 * mebibyte);
  assert.deepEqual(await grow({ path, format: 'raw' }), {
    resized: false,
    note: 'the file system was left as it is: no ext2, ext3 or ext4 is on the bare disk',
  });
});
