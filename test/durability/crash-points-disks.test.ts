import { suite, test } from 'node:test';
import { diskCases } from './crash-points/disk-cases.ts';
import { sweepCrashPoints } from './crash-points/sweep.ts';

suite('a kill before any call by which a step changes files leaves nothing half made under a final name', () => {
  for (const [title, crash] of Object.entries(diskCases)) {
    test(title, { timeout: 300_000 }, (t) => sweepCrashPoints(t, crash));
  }
});
