import { join } from 'node:path';
import { test } from 'node:test';
import { testWithDeviceMapper } from '../fixtures/inner-tests.ts';

test('volumes, on a kernel with device mapper and thin pools', async (t) => {
  await testWithDeviceMapper(t, join(import.meta.dirname, 'lvm', 'volumes.ts'));
});
