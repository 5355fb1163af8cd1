import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EverbootFailure } from '../../../domain/failures.ts';
import type { WorkControl } from '../../../domain/step-progress.ts';
import { keepingReserve } from '../../../hypervisor/space/space-guard.ts';

const control = { signal: new AbortController().signal, onProgress: () => undefined };

async function longWork({ signal }: WorkControl): Promise<string> {
  await sleep(5000, undefined, { signal });
  return 'done';
}

test('a step that writes is stopped as soon as the reserve is touched', async () => {
  await assert.rejects(
    keepingReserve(tmpdir(), Number.MAX_SAFE_INTEGER, control, longWork),
    (error) => error instanceof EverbootFailure && error.code === 'InsufficientSpace',
  );
});

test('a step continues while there is room', async () => {
  const work = async (): Promise<string> => {
    await sleep(700);
    return 'done';
  };
  assert.equal(await keepingReserve(tmpdir(), 0, control, work), 'done');
});

test('a cancellation stays one', async () => {
  const stop = new AbortController();
  const working = keepingReserve(tmpdir(), 0, { ...control, signal: stop.signal }, longWork);
  stop.abort(new Error('cancelled'));
  await assert.rejects(working, /cancelled/);
});
