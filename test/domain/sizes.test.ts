import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sizeText, spaceText } from '../../domain/sizes.ts';

test('sizes are short', () => {
  const sizes = [0, 1023, 1024, 1536, 100 * 1024, 1024 ** 2 - 1, 1024 ** 2, 20 * 1024 ** 3, 1.5 * 1024 ** 4];
  const texts = ['0 B', '1023 B', '1 KiB', '1.5 KiB', '100 KiB', '1 MiB', '1 MiB', '20 GiB', '1.5 TiB'];
  assert.deepEqual(sizes.map(sizeText), texts);
});

test('space that is short by little does not read as enough', () => {
  const [needed, free] = [20 * 1024 ** 3, 20 * 1024 ** 3 - 1];
  assert.deepEqual([needed, free].map(spaceText), ['20480 MiB', '20479 MiB']);
  assert.deepEqual([-1, 0, 1, 1024 ** 2 - 1].map(spaceText), ['0 KiB', '0 KiB', '1 KiB', '1024 KiB']);
});
