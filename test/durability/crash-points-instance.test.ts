import { suite } from 'node:test';
import { testCrashPoints } from './crash-points/case-tests.ts';
import { instanceCases } from './crash-points/instance-cases.ts';

suite('a kill before any call by which an instance’s files change leaves none partial under a final name', {
  concurrency: 2,
}, () => {
  testCrashPoints(instanceCases);
});
