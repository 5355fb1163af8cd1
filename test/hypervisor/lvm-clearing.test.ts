import { join } from 'node:path';
import { test } from 'node:test';
import { testWithDeviceMapper } from '../fixtures/inner-tests.ts';

test('clearing volumes, on a kernel with device mapper', async (t) => {
  await testWithDeviceMapper(t, join(import.meta.dirname, 'lvm', 'clearing-volumes.ts'));
});
