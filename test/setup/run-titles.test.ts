import assert from 'node:assert/strict';
import { test } from 'node:test';
import { titleChanges } from '../runner/compare-titles.ts';

test('a title that moves to another file is no loss; one that stands there once less is', () => {
  const before = ['a: stays', 'a: moves', 'a: goes: permanently', 'a: twice', 'a: twice'];
  const after = ['a: stays', 'b: moves', 'a: comes', 'a: twice'];
  assert.deepEqual(titleChanges(before, after), {
    gone: ['a: goes: permanently', 'a: twice'],
    added: ['a: comes'],
    moved: [{ title: 'moves', from: 'a', to: 'b' }],
  });
  assert.deepEqual(titleChanges(before, before), { gone: [], added: [], moved: [] });
});
