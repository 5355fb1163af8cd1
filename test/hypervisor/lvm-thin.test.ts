import { join } from 'node:path';
import { test } from 'node:test';
import { testWithDeviceMapper } from '../fixtures/inner-tests.ts';

test('thin volumes, on a kernel with device mapper and thin pools', async (t) => {
  await testWithDeviceMapper(t, join(import.meta.dirname, 'lvm', 'thin-volumes.ts'));
});
