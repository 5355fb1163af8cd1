import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pauseBeforePing } from '../../domain/ping-schedule.ts';
import { stepTimes } from '../../domain/step-times.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** When an operation looks, in ms from its start, until it has lasted for so long. */
function looksWithin(lastsMs: number, unreachableAfterMs: number): readonly number[] {
  const looks: number[] = [];
  let pauseMs = Math.min(stepTimes.firstPingAfterMs, unreachableAfterMs);
  for (let at = pauseMs; at <= lastsMs; at += pauseMs) {
    looks.push(at);
    pauseMs = pauseBeforePing({ pauseMs, pingingForMs: at, unreachableAfterMs });
  }
  return looks;
}

const limitsMs = [1000, minuteMs, 5 * minuteMs, dayMs, Number.POSITIVE_INFINITY];

test('an operation that lasts for years has a history of some hundred pings', () => {
  // Temporal ends a workflow with 51200 events; a look is about ten.
  for (const limitMs of limitsMs) {
    const looks = looksWithin(10 * 365 * dayMs, limitMs).length;
    assert.ok(looks > 100 && looks < 1000, `${looks} looks where a host may be away for ${limitMs} ms`);
  }
});

test('an absence is seen within the time after which it counts, or a fiftieth of the operation’s', () => {
  for (const limitMs of limitsMs) {
    const looks = looksWithin(30 * dayMs, limitMs);
    const atMost = Math.max(minuteMs, Math.min(limitMs, 10 * minuteMs));
    for (const [index, look] of looks.entries()) {
      const last = looks[index - 1] ?? 0;
      assert.ok(look - last <= Math.max(atMost, last * 0.02 + 1), `looked at ${last} and then at ${look}`);
    }
  }
});

test('the pauses grow from the first on, so that a boot of an hour costs few pings', () => {
  assert.ok(looksWithin(60 * minuteMs, Number.POSITIVE_INFINITY).length <= 10);
});
