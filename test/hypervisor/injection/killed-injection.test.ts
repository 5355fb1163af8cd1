import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeTemporaryFiles } from '../../../hypervisor/files/publish-file.ts';
import { injectIntoDisk } from '../../../hypervisor/injection/inject-into-disk.ts';
import { waitForKernelLock } from '../../../hypervisor/locks/kernel-lock.ts';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { guestReader, guestTree, makeGuestImage, makePartitionedImage } from '../../fixtures/guest-images.ts';
import { file, nothing, withGuestfishControl } from '../../fixtures/injecting.ts';
import { guestfishUsers } from '../../fixtures/processes.ts';

const folder = await mkdtemp('/var/tmp/everboot-test-killed-');
after(() => rm(folder, { recursive: true, force: true }));
const lock = { lockFile: join(folder, 'locks'), key: 'disk' };

const contents = {
  ...nothing,
  sshKeys: ['ssh-ed25519 AAAAC3Nza alice'],
  files: Array.from({ length: 30 }, (_, index) => file(`/srv/f${index}`, `${index} planted-secret\n`.repeat(50))),
};

const url = (path: string): string => JSON.stringify(new URL(`../../../${path}`, import.meta.url).href);
const script = `
  const { injectIntoDisk } = await import(${url('hypervisor/injection/inject-into-disk.ts')});
  const { waitForKernelLock } = await import(${url('hypervisor/locks/kernel-lock.ts')});
  const { withGuestfishControl } = await import(${url('test/fixtures/injecting.ts')});
  const [folder, lock, target, contents] = JSON.parse(process.env.ORDER);
  const held = await waitForKernelLock(lock, { timeoutMs: 1000 });
  const heldLocks = [held.descriptor];
  await withGuestfishControl(folder, (control) => injectIntoDisk(target, contents, control), { heldLocks });
  await held.release();
`;

const privateFolders = async (): Promise<string[]> =>
  (await readdir(folder)).filter((name) => name.endsWith('.everboot-tmp'));

test('an injection into a partition that was killed in the middle is simply run again', async () => {
  const files = { ...guestTree, 'root/.ssh/authorized_keys': 'ssh-rsa AAAAB3old\n' };
  const plain = await makeGuestImage(join(folder, 'plain'), { files });
  const path = await makePartitionedImage(join(folder, 'disk'), plain);
  const target = { disk: { path, format: 'raw' }, place: 2, title: 'the-image' } as const;

  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script],
    {
      env: { ORDER: JSON.stringify([folder, lock, target, contents]) },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  const exited = once(child, 'exit');
  // The contents wait in the private folder until the appliance has taken them: fifteen of them, so half of the work.
  const staged = async (): Promise<number> => {
    const [own] = await privateFolders();
    return own === undefined ? 0 : (await readdir(join(folder, own)).catch(() => [])).length;
  };
  while (child.exitCode === null && (await staged()) < 15) await sleep(5);
  assert.equal((await guestfishUsers(path)).length, 1, 'an appliance was at work on the disk');
  child.kill('SIGKILL');
  assert.deepEqual(await exited, [null, 'SIGKILL']);

  const [own = ''] = await privateFolders();
  assert.equal((await stat(join(folder, own))).mode & 0o777, 0o700, 'nobody else can read what was left');
  const left = (await readdir(join(folder, own))).filter((name) => name.startsWith('libguestfs'));
  assert.ok(left.length > 0, 'what libguestfs has left of its own is in there, to go with it');
  const held = await waitForKernelLock(lock, { timeoutMs: 120_000 });
  assert.ok(held !== undefined, 'no program of the killed one holds the lock for long');
  await removeTemporaryFiles(path);
  const heldLocks = [held.descriptor];
  const report = await withGuestfishControl(folder, (control) => injectIntoDisk(target, contents, control), {
    heldLocks,
  });
  await held.release();
  assert.deepEqual(report, { injected: ['ssh keys', 'files'], warnings: [] });
  assert.deepEqual(await guestfishUsers(path), [], 'no appliance is left');
  assert.deepEqual(await privateFolders(), []);

  const offset = 2 * 2 ** 20;
  await runProgram('e2fsck', ['-f', '-n', `${path}?offset=${offset}`], { timeoutMs: 60_000 });
  const guest = guestReader(path, offset);
  const keys = 'ssh-rsa AAAAB3old\n\n# These ssh keys were injected by everboot\nssh-ed25519 AAAAC3Nza alice\n';
  assert.equal(await guest.text('/root/.ssh/authorized_keys'), keys, 'they are there once');
  assert.deepEqual((await guest.list('/srv')).sort(), contents.files.map((each) => each.path.slice(5)).sort());
  assert.equal(await guest.text('/srv/f29'), '29 planted-secret\n'.repeat(50));
});

test('an injection that is cancelled ends its appliance and leaves nothing on the host', async () => {
  const path = await makeGuestImage(join(folder, 'cancelled'));
  const target = { disk: { path, format: 'raw' }, place: 'disk', title: 'the-image' } as const;
  const stop = new AbortController();
  const injecting = withGuestfishControl(folder, (control) => injectIntoDisk(target, contents, control), {
    signal: stop.signal,
  });
  const outcome = assert.rejects(injecting, /^Error: cancelled$/);
  while ((await guestfishUsers(path)).length === 0) await sleep(5);
  stop.abort(new Error('cancelled'));
  await outcome;
  assert.deepEqual(await guestfishUsers(path), []);
  assert.deepEqual(await privateFolders(), []);
});
