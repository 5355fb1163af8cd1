import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryKernelLock, waitForKernelLock } from '../../hypervisor/locks/kernel-lock.ts';
import { type LockKey, lockKeys } from '../../hypervisor/locks/lock-keys.ts';
import { isLockFree, withLock } from '../../hypervisor/locks/with-lock.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { startProcess } from '../fixtures/test-cache.ts';

let folder: string;
let paths: { readonly locks: string };
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-locks-'));
  paths = { locks: join(folder, 'locks') };
});
after(() => rm(folder, { recursive: true, force: true }));

/** One lock of each kind, the outermost first. */
const inOrder: readonly LockKey[] = [
  lockKeys.scrub,
  lockKeys.instance('web-1'),
  lockKeys.disk('web-1/disk'),
  lockKeys.rbdImport('pool/base'),
  lockKeys.evict('base'),
  lockKeys.fetch('base'),
  lockKeys.lease('base'),
  lockKeys.ledger,
  lockKeys.notes,
];

/** Takes the locks one inside the other. Returns the text of each that was taken; a busy one has a question mark. */
async function take(keys: readonly LockKey[], shared = false): Promise<string[]> {
  const [key, ...rest] = keys;
  if (key === undefined) return [];
  return await withLock(paths, key, { shared, whenBusy: () => [`${key.text}?`] }, async () => [
    key.text,
    ...(await take(rest, shared)),
  ]);
}

/** That a lock is refused while the other is held, at once and without a wait for whoever has it. */
async function assertRefused(held: LockKey, wanted: LockKey, shared = false): Promise<void> {
  const outOfOrder = {
    code: 'InternalError',
    message: new RegExp(`lock ${wanted.text} .* while ${held.text} is held`),
  };
  const whenBusy = (): never => assert.fail('it was waited for');
  await withLock(paths, held, { shared, whenBusy }, async () => {
    await assert.rejects(
      withLock(paths, wanted, { shared, waitMs: 60_000, whenBusy }, async () => 'taken'),
      outOfOrder,
    );
  });
}

test('locks are taken one inside the other in the order of their table', async () => {
  assert.deepEqual(
    await take(inOrder),
    inOrder.map(({ text }) => text),
  );
});

test('the decision on kernel locks has that order, too', async () => {
  const page = new URL('../../docs/decisions/kernel-locks.md', import.meta.url);
  assert.ok((await readFile(page, 'utf8')).includes(`\n${inOrder.map(({ kind }) => kind).join(' → ')}\n`));
});

test('a lock that comes before one that is held is refused, whichever two they are', async () => {
  for (const [place, held] of inOrder.entries()) {
    for (const wanted of inOrder.slice(0, place)) await assertRefused(held, wanted);
  }
});

test('a second lock of the same kind is refused, and so is the same lock, unless both are shared', async () => {
  await assertRefused(lockKeys.evict('base'), lockKeys.evict('other'));
  await assertRefused(lockKeys.evict('base'), lockKeys.evict('other'), true);
  await assertRefused(lockKeys.notes, lockKeys.notes);
  assert.deepEqual(await take([lockKeys.notes, lockKeys.notes], true), ['notes', 'notes']);
});

test('pieces of work that run concurrently have each their own order', async () => {
  const both = Promise.withResolvers<void>();
  const one = withLock(paths, lockKeys.fetch('a'), { whenBusy: () => 'busy' }, async () => {
    await both.promise;
    return (await take([lockKeys.ledger])).join();
  });
  const other = await take([lockKeys.instance('web-2'), lockKeys.fetch('b')]);
  both.resolve();
  assert.deepEqual([await one, other], ['ledger', ['instance:web-2', 'fetch:b']]);
});

test('work that outlives its lock is not held against that lock any more', async () => {
  const released = Promise.withResolvers<void>();
  let late: Promise<string[]> | undefined;
  await withLock(paths, lockKeys.notes, { whenBusy: () => undefined }, async () => {
    late = released.promise.then(() => take([lockKeys.fetch('base')]));
  });
  released.resolve();
  assert.deepEqual(await late, ['fetch:base']);
});

test('a lock that is held elsewhere is answered as busy, at once or when its time is over', async (t) => {
  const child = startProcess(
    t,
    `const { withLock } = await load('hypervisor/locks/with-lock.ts');
     const { lockKeys } = await load('hypervisor/locks/lock-keys.ts');
     await withLock(given, lockKeys.ledger, { whenBusy: () => undefined }, async () => {
       process.stdout.write('held');
       await new Promise((resolve) => setTimeout(resolve, 60_000));
     });`,
    paths,
  );
  if (child.stdout !== null) await once(child.stdout, 'data');
  assert.deepEqual(await take([lockKeys.ledger]), ['ledger?']);
  assert.equal(await isLockFree(paths, lockKeys.ledger), false);
  const waiting = { waitMs: 50, whenBusy: () => 'busy' };
  assert.equal(await withLock(paths, lockKeys.ledger, waiting, async () => 'taken'), 'busy');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(await withLock(paths, lockKeys.ledger, { ...waiting, waitMs: 10_000 }, async () => 'taken'), 'taken');
});

test('a lock is released when its work fails, but not before the last program that inherited it has ended', async () => {
  const request = { lockFile: paths.locks, key: lockKeys.fetch('base').text };
  let running: Promise<unknown> | undefined;
  const failing = withLock(paths, lockKeys.fetch('base'), { whenBusy: () => undefined }, async ({ descriptor }) => {
    running = runProgram('sleep', ['0.5'], { timeoutMs: 60_000, heldLocks: [descriptor] });
    await sleep(100);
    throw new Error('the step was given up');
  });
  await assert.rejects(failing, /the step was given up/);
  assert.equal(await tryKernelLock(request), undefined, 'the program still writes');
  await running;
  const next = await waitForKernelLock(request, { timeoutMs: 60_000 });
  assert.ok(next);
  await next.release();
});
