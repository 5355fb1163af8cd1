import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { mapConcurrently } from '../../../activities/reconcile/map-concurrently.ts';

const { signal } = new AbortController();

test('what was made is in the order of the items, however long each took', async () => {
  const made = await mapConcurrently([3, 1, 2], { atOnce: 2, signal }, async (turns) => {
    for (let left = turns; left > 0; left -= 1) await turn();
    return `${turns}`;
  });
  assert.deepEqual(made, ['3', '1', '2']);
});

test('a failure is thrown when what was started has ended, and nothing more is started', async () => {
  const gate = Promise.withResolvers<void>();
  const events: string[] = [];
  const whole = mapConcurrently(['fails', 'continues', 'is left'], { atOnce: 2, signal }, async (item) => {
    events.push(`${item}: started`);
    if (item === 'fails') throw new Error('by a test');
    await gate.promise;
    events.push(`${item}: ended`);
  });
  const seen = whole.catch(() => events.push('thrown'));
  await turn();
  gate.resolve();
  await seen;
  await turn();
  assert.deepEqual(events, ['fails: started', 'continues: started', 'continues: ended', 'thrown']);
  await assert.rejects(whole, /by a test/);
});
