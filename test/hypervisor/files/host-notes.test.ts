import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { removePartialNotes, whileWritingNotes } from '../../../hypervisor/files/host-notes.ts';
import { tryKernelLock } from '../../../hypervisor/locks/kernel-lock.ts';
import { named, startProcess, testCache } from '../../fixtures/test-cache.ts';
import { until } from '../../fixtures/until.ts';

/** Writes the hash of a cached file again and again, which is a note under a temporary name most of the time. */
const noting = `
  const { writeScrubRecord } = await load('hypervisor/image-store/maintenance/scrub-record.ts');
  process.stdout.write('ready');
  for (;;) await writeScrubRecord(given.paths, { cacheName: given.name, title: 'x'.repeat(2 ** 20), order: null }, '');`;

/** A signal stops a thread at the end of what it does in the kernel just then. */
async function isStopped(pid: number): Promise<boolean> {
  const tasks = await readdir(`/proc/${pid}/task`);
  const stats = await Promise.all(tasks.map((task) => readFile(`/proc/${pid}/task/${task}/stat`, 'utf8')));
  return stats.every((stat) => /^\d+ \(.*\) T/.test(stat));
}

test('a partial note of a killed worker is removed, and one that is being written stays', {
  timeout: 300_000,
}, async (t) => {
  const { paths } = await testCache(t);
  const partialFiles = async (): Promise<string[]> =>
    (await readdir(paths.scrubs)).filter((name) => name.endsWith('.everboot-tmp'));
  for (let round = 0; round < 5; round += 1) {
    const child = startProcess(t, noting, { paths, name: named('a') });
    if (child.stdout !== null) await once(child.stdout, 'data');
    // Stopped in the middle of a note, as a machine under load or a debugger stops one.
    await until('a note that is being written', async () => {
      child.kill('SIGCONT');
      await until('a partial note', async () => (await partialFiles()).length > 0, 1);
      child.kill('SIGSTOP');
      await until('the stop', () => isStopped(child.pid ?? 0), 1);
      return (await partialFiles()).length > 0;
    });
    const [stopped] = await partialFiles();
    if (round === 0) {
      await removePartialNotes(paths);
      assert.deepEqual(await partialFiles(), [stopped], 'its writer is there');
    }
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.deepEqual(await partialFiles(), [stopped]);
    await removePartialNotes(paths);
    assert.deepEqual(await partialFiles(), []);
  }
});

test('notes are written concurrently, and none while partial ones are removed', async (t) => {
  const { paths } = await testCache(t);
  await whileWritingNotes(paths, () => whileWritingNotes(paths, async () => undefined));
  const removing = await tryKernelLock({ lockFile: paths.locks, key: 'notes' });
  let written = false;
  const writing = whileWritingNotes(paths, async () => {
    written = true;
  });
  await sleep(200);
  assert.equal(written, false);
  await removing?.release();
  await writing;
  assert.ok(written);
});
