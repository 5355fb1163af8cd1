import { join } from 'node:path';
import { test } from 'node:test';
import { testWithDeviceMapper } from '../fixtures/inner-tests.ts';

test('volumes with extents of their own, on a kernel with device mapper', async (t) => {
  await testWithDeviceMapper(t, join(import.meta.dirname, 'lvm', 'thick-volumes.ts'));
});
