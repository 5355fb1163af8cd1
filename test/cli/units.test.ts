import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameTable, textTable } from '../../cli/text-table.ts';
import { durationText, timeLeftText } from '../../cli/units.ts';

test('times are as exact as they are long', () => {
  const times = [-5, 0, 250, 9990, 12_340, 60_000, 250_000, 3_600_000, 7_500_000];
  const texts = ['0.00 s', '0.00 s', '0.25 s', '9.99 s', '12.3 s', '1 min 0 s', '4 min 10 s', '1 h 0 min', '2 h 5 min'];
  assert.deepEqual(times.map(durationText), texts);
  assert.deepEqual([0.2, 9, 59.5, 250].map(timeLeftText), ['1 s', '9 s', '1 min 0 s', '4 min 10 s']);
});

test('columns are aligned, and lines have no blanks at their ends', () => {
  const rows = [
    ['A', 'LONG', ''],
    ['longer', 'x', ''],
  ];
  assert.deepEqual(textTable(rows, '  '), ['  A       LONG', '  longer  x']);
  assert.deepEqual(nameTable({ id: '1', domain: undefined, host: 'a' }), ['  id    1', '  host  a']);
});
