import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withClearingSlot } from '../../hypervisor/backends/clearing-slots.ts';

test('no more volumes are cleared at a time than there are slots, and one that waits can be cancelled', async () => {
  const { signal } = new AbortController();
  let [running, most] = [0, 0];
  const ends: (() => void)[] = [];
  const work = async (): Promise<void> => {
    running += 1;
    most = Math.max(most, running);
    await new Promise<void>((resolve) => ends.push(resolve));
    running -= 1;
  };
  const all = [1, 2, 3].map(() => withClearingSlot(2, signal, work));
  const stop = new AbortController();
  const waiting = withClearingSlot(2, stop.signal, work);
  stop.abort();
  await assert.rejects(waiting, { name: 'AbortError' });
  assert.equal(running, 2);
  ends.shift()?.();
  while (ends.length < 2) await new Promise((resolve) => setImmediate(resolve));
  for (const end of ends) end();
  await Promise.all(all);
  await assert.rejects(
    withClearingSlot(1, signal, async () => {
      throw new Error('failed');
    }),
    /failed/,
  );
  await withClearingSlot(1, signal, async () => undefined);
  assert.equal(most, 2);
});
