import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runPool } from '../runner/pool.ts';
import { inOrder, type Job, nextJob } from '../runner/schedule.ts';

const lanes = { cpu: 2, waiting: 1 };

function computing(path: string, seconds = 10, rank = 1): Job {
  return { path, rank, seconds, cpuSeconds: seconds };
}

function waiting(path: string, seconds = 10): Job {
  return { path, rank: 1, seconds, cpuSeconds: seconds / 10 };
}

test('the longest file starts first, and those of the unit suite before all others', () => {
  const jobs = [computing('short', 1), computing('long', 90), computing('unit', 2, 0), computing('also long', 90)];
  assert.deepEqual(
    inOrder(jobs).map(({ path }) => path),
    ['unit', 'also long', 'long', 'short'],
  );
});

test('files that can only follow one another start as early as all of them together demand', () => {
  const jobs = [
    computing('long', 90),
    computing('boot/a.test.ts', 50),
    computing('boot/b.test.ts', 60),
    computing('c', 55),
  ];
  assert.deepEqual(
    inOrder(jobs).map(({ path }) => path),
    ['boot/b.test.ts', 'boot/a.test.ts', 'long', 'c'],
  );
});

test('as many files compute at once as there are CPU lanes, and those that wait run beside them', () => {
  const running = [computing('a'), computing('b')];
  const queue = [computing('c'), waiting('w'), waiting('x')];
  assert.equal(nextJob(queue, running.slice(1), lanes)?.path, 'c');
  assert.equal(nextJob(queue, running, lanes)?.path, 'w');
  assert.equal(nextJob(queue, [...running, waiting('v')], lanes), undefined);
});

test('a file that waits takes a CPU lane where no other file can', () => {
  const running = [computing('a'), waiting('v')];
  assert.equal(nextJob([waiting('w'), computing('b', 1)], running, lanes)?.path, 'b');
  assert.equal(nextJob([waiting('w')], running, lanes)?.path, 'w');
  assert.equal(nextJob([waiting('x')], [...running, waiting('w')], lanes), undefined);
});

test('two guests never run at once, whatever the figures say of them', () => {
  const [guest, other] = [waiting('boot/one.test.ts', 100), waiting('boot/two.test.ts', 90)];
  assert.equal(nextJob([other, computing('c')], [guest], lanes)?.path, 'c');
  assert.equal(nextJob([other], [guest], lanes), undefined);
  assert.equal(nextJob([other], [computing('a'), computing('b')], lanes), undefined, 'a guest computes');
});

test('a pool runs every file once, and never more at once than its lanes allow', async () => {
  const jobs = [...Array(8).keys()].map((number) =>
    number % 2 === 0 ? computing(`c${number}`) : waiting(`w${number}`),
  );
  const ran: string[] = [];
  const [running, most] = [new Set<string>(), { all: 0, computing: 0 }];
  await runPool(jobs, lanes, async ({ path }) => {
    running.add(path);
    most.all = Math.max(most.all, running.size);
    most.computing = Math.max(most.computing, [...running].filter((one) => one.startsWith('c')).length);
    await sleep(5);
    running.delete(path);
    ran.push(path);
  });
  assert.deepEqual(ran.sort(), jobs.map(({ path }) => path).sort());
  assert.deepEqual(most, { all: 3, computing: 2 });
});
