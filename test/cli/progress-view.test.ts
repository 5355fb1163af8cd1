import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changeLines, progressText, stateText, stepLines } from '../../cli/progress-view.ts';
import { rateMeter } from '../../cli/transfer-rate.ts';
import type { OperationView, StepView } from '../../client/progress/read-progress.ts';

const now = Date.parse('2026-03-01T12:00:10.000Z');
const noRate = () => undefined;
const mib = 1024 * 1024;

function step(more: Partial<StepView> = {}): StepView {
  const activityId = more.summary ?? 'downloadImage';
  const base = { activityId, step: 'downloadImage', summary: 'fetch debian-12', state: 'running' } as const;
  return { ...base, startedAt: '2026-03-01T12:00:00.000Z', ...more };
}

function view(...steps: StepView[]): OperationView {
  return { operation: 'create', phase: 'Building', host: 'host-a', steps };
}

test('a running transfer shows its bytes, its rate and the time left', () => {
  const transfer = step({ progress: { doneBytes: 300 * mib, totalBytes: 1200 * mib } });
  assert.equal(
    progressText(transfer, () => 100 * mib),
    '300 MiB of 1.2 GiB, 100 MiB/s, 9 s left',
  );
  assert.equal(progressText(transfer, noRate), '300 MiB of 1.2 GiB');
  assert.equal(progressText(step({ progress: { doneBytes: 5 * mib, totalBytes: null } }), noRate), '5 MiB');
});

test('a wait shows what it is for', () => {
  const progress = { doneBytes: 0, totalBytes: null, note: 'waiting for web-1, which fetches the same image' };
  assert.equal(stateText(step({ progress }), now, noRate), progress.note);
  assert.equal(stateText(step({ waiting: true }), now, noRate), 'waiting');
});

test('a step that is tried again shows the attempt and why', () => {
  const lastFailure = { code: 'GlanceUnavailable', message: 'glance-1 answers 503' };
  const again = step({ waiting: true, attempt: 3, lastFailure });
  assert.equal(stateText(again, now, noRate), 'waiting, attempt 3, GlanceUnavailable: glance-1 answers 503');
});

test('a step that ended shows how long it took', () => {
  const endedAt = '2026-03-01T12:00:03.250Z';
  assert.equal(stateText(step({ state: 'done', endedAt }), now, noRate), '3.25 s');
  assert.equal(stateText(step({ state: 'failed', endedAt }), now, noRate), 'failed after 3.25 s');
});

test('the table fits the terminal, whatever its size', () => {
  const steps = Array.from({ length: 30 }, (_, index) => step({ summary: `step ${index} ${'x'.repeat(200)}` }));
  for (const [columns, rows] of [
    [80, 24],
    [40, 10],
    [20, 3],
    [200, 60],
  ] as const) {
    const lines = stepLines(view(...steps), { now, rateOf: noRate, columns, rows });
    assert.ok(lines.length <= rows, `${lines.length} lines in ${rows} rows`);
    assert.ok(
      lines.every((line) => line.length < columns),
      `${columns} columns`,
    );
    assert.match(lines.at(-1) ?? '', /step/);
  }
});

test('what comes from elsewhere cannot steer the terminal', () => {
  const lines = stepLines(view(step({ summary: 'evil\u001b[2J\u009b' })), {
    now,
    rateOf: noRate,
    columns: 80,
    rows: 24,
  });
  assert.ok(!lines.join('').includes('\u001b') && !lines.join('').includes('\u009b'));
});

test('a log gets a line for each change, and none where nothing changed', () => {
  const first = view(step());
  assert.deepEqual(changeLines(null, first, now), ['Building', '▸ fetch debian-12']);
  assert.deepEqual(changeLines(first, view(step({ progress: { doneBytes: 1, totalBytes: 2 } })), now), []);
  const endedAt = '2026-03-01T12:00:01.000Z';
  const done = view(step({ state: 'done', endedAt }), step({ summary: 'inspect debian-12' }));
  assert.deepEqual(changeLines(first, done, now), ['✓ fetch debian-12: 1.00 s', '▸ inspect debian-12']);
  assert.deepEqual(changeLines(done, { ...done, phase: 'Undoing' }, now), ['Undoing']);
});

test('an operation that waits for an operator or for its host says so, on a terminal and in a log', () => {
  const parked = { code: 'InsufficientSpace', message: 'full', remedy: 'Free space.', step: 'createRootDisk' };
  const waiting: OperationView = {
    ...{ ...view(step()), phase: 'NeedsOperator' },
    parked: { ...parked, since: '2026-03-01T11:56:00.000Z' },
  };
  const words = 'waits for an operator for 4 min 10 s: InsufficientSpace in createRootDisk';
  const size = { columns: 120, rows: 24 };
  assert.equal(stepLines(waiting, { now, rateOf: noRate, ...size }).at(-1), `  ! ${words}`);
  assert.deepEqual(changeLines(view(step()), waiting, now), ['NeedsOperator', `! ${words}`]);
  assert.deepEqual(changeLines(waiting, waiting, now + 1000), [], 'once');
  const away: OperationView = { ...view(), phase: 'WaitingForHost', hostAwaySince: '2026-03-01T12:00:00.000Z' };
  assert.match(changeLines(null, away, now)[1] ?? '', /^! no worker of host-a answers for 10.0 s: it resumes when/);
  const held = changeLines(null, { ...waiting, hostAwaySince: '2026-03-01T12:00:00.000Z' }, now);
  assert.equal(held[2], '! no worker of host-a answers for 10.0 s', 'it is not the host that is waited for');
  const gone: OperationView = { ...away, phase: 'HostUnreachable' };
  assert.match(changeLines(away, gone, now)[1] ?? '', /abandon --host-gone$/);
});

test('a rate is that of the last seconds, and starts again with a new attempt', () => {
  const meter = rateMeter();
  const at = (seconds: number, doneBytes: number): number | undefined => {
    meter.note([step({ progress: { doneBytes, totalBytes: null } })], now + seconds * 1000);
    return meter.rateOf('downloadImage');
  };
  assert.equal(at(0, 0), undefined);
  assert.equal(at(1, 1000), 1000);
  assert.equal(at(2, 2000), 1000);
  for (let second = 3; second <= 10; second += 1) at(second, 2000 + (second - 2) * 10);
  assert.equal(at(11, 2090), 10);
  assert.equal(at(12, 0), undefined);
  assert.equal(at(13, 500), 500);
});
