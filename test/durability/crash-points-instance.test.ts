import { suite, test } from 'node:test';
import { instanceCases } from './crash-points/instance-cases.ts';
import { sweepCrashPoints } from './crash-points/sweep.ts';

suite('a kill before any call by which an instance’s files change leaves none half made under a final name', () => {
  for (const [title, crash] of Object.entries(instanceCases)) {
    test(title, { timeout: 300_000 }, (t) => sweepCrashPoints(t, crash));
  }
});
