import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeSwapArea } from '../../hypervisor/disks/make-file-system.ts';
import { failsWith } from './lvm/planned-disks.ts';

function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8' }).trim();
}

test('a device that cannot be formatted is not taken for a full file system, whatever its node lies in', async (t) => {
  const folder = await mkdtemp('/var/tmp/everboot-format-');
  run('mount', '-t', 'tmpfs', '-o', 'size=16k', 'none', folder);
  const small = `${folder}.device`;
  await writeFile(small, '');
  await truncate(small, 4096);
  const device = run('losetup', '--find', '--show', small);
  t.after(async () => {
    run('losetup', '--detach', device);
    run('umount', folder);
    await rm(folder, { recursive: true });
    await rm(small);
  });
  const path = join(folder, 'node');
  const { rdev } = await stat(device);
  run('mknod', path, 'b', String((rdev >> 8) & 0xfff), String((rdev & 0xff) | ((rdev >> 12) & 0xfff00)));
  const control = { signal: new AbortController().signal, onProgress: () => undefined };
  await assert.rejects(makeSwapArea({ path, sizeBytes: 4096, heldLocks: [] }, control), failsWith('ProgramFailed'));
});
