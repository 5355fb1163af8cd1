import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { StepProgress } from '../../../domain/step-progress.ts';
import { shredDevice, zeroDevice } from '../../../hypervisor/files/overwrite-device.ts';
import { failsWith } from '../lvm/planned-disks.ts';

const mebibyte = 2 ** 20;
const sizeBytes = 600 * mebibyte;

let folder: string;
let device: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-device-'));
  const file = join(folder, 'disk');
  await writeFile(file, '');
  await truncate(file, sizeBytes);
  device = run('losetup', ['--find', '--show', file]);
});
after(async () => {
  run('losetup', ['--detach', device]);
  await rm(folder, { recursive: true, force: true });
});

function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8' }).trim();
}

/** Fills the first 64 MiB with a text. */
function soil(): void {
  run('sh', ['-c', 'yes stale | head -c 64M >"$1" && sync "$1"', 'sh', device]);
}

/** How many bytes of a range are no zeros. */
function countOthers(offsetBytes: number, lengthBytes: number): number {
  const script = `tail -c +"$2" "$1" | head -c "$3" | tr -d '\\0' | wc -c`;
  return Number(run('sh', ['-c', script, 'sh', device, String(offsetBytes + 1), String(lengthBytes)]));
}

function watched(): {
  control: { signal: AbortSignal; onProgress(report: StepProgress): void };
  reports: StepProgress[];
} {
  const reports: StepProgress[] = [];
  const onProgress = (report: StepProgress): void => void reports.push(report);
  return { control: { signal: new AbortController().signal, onProgress }, reports };
}

test('a range of a device becomes zeros, nothing beside it, and the work reports its progress', async () => {
  soil();
  const { control, reports } = watched();
  const lengthBytes = sizeBytes - 2 * 4096;
  await zeroDevice({ path: device, offsetBytes: 4096, lengthBytes, heldLocks: [] }, control);
  assert.equal(countOthers(0, 4096), 4096);
  assert.equal(countOthers(4096, sizeBytes), 0);
  assert.deepEqual(
    reports.map(({ doneBytes }) => doneBytes),
    [512 * mebibyte, lengthBytes],
  );
});

test('the beginning of a device is shredded, and the rest is left', async () => {
  soil();
  await shredDevice({ path: device, lengthBytes: 16 * mebibyte, heldLocks: [] }, watched().control);
  run('blockdev', ['--flushbufs', device]);
  const stale = (from: number) =>
    Number(
      run('sh', ['-c', 'tail -c +"$2" "$1" | head -c 16M | grep -c -a "^stale$" || true', 'sh', device, `${from + 1}`]),
    );
  assert.ok(stale(0) < 10, 'no line of it by more than chance');
  assert.ok(stale(16 * mebibyte) > 1_000_000);
});

test('what is no device is not written', async () => {
  const path = join(folder, 'file');
  const { control } = watched();
  for (const work of [
    zeroDevice({ path, offsetBytes: 0, lengthBytes: 4096, heldLocks: [] }, control),
    shredDevice({ path, lengthBytes: 4096, heldLocks: [] }, control),
  ]) {
    await assert.rejects(work, failsWith('HostIoError', /no block device/));
  }
});
