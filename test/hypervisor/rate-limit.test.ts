import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rateLimit, takingTurns } from '../../hypervisor/http/rate-limit.ts';

test('bytes are given out at the rate, in the order in which they are asked for', () => {
  const turn = takingTurns(1000);
  const now = 1_000_000;
  // After a pause a quarter of a second's worth may be taken at once.
  const turns = [turn(100, now), turn(150, now), turn(1000, now), turn(500, now), turn(1, now)];
  assert.deepEqual(
    turns.map((atMs) => atMs - now),
    [-250, -150, 0, 1000, 1500],
  );
});

test('a pause is not made up for by a burst', () => {
  const turn = takingTurns(1000);
  turn(1, 1000);
  const after = 3_600_000;
  assert.equal(turn(2000, after), after - 250);
  assert.equal(turn(1, after), after + 1750);
});

test('whoever waits can be stopped', async () => {
  const limit = rateLimit(1);
  const stop = new AbortController();
  await limit.take(1_000_000, stop.signal);
  const waiting = limit.take(1, stop.signal);
  stop.abort(new Error('enough'));
  await assert.rejects(waiting, /^Error: enough$/);
});
