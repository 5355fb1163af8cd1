import { suite } from 'node:test';
import { testCrashPoints } from './crash-points/case-tests.ts';
import { diskCases } from './crash-points/disk-cases.ts';

suite('a kill before any call by which a step changes files leaves nothing partial under a final name', {
  concurrency: 2,
}, () => {
  testCrashPoints(diskCases);
});
