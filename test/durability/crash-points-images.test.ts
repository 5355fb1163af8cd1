import { mkdtemp } from 'node:fs/promises';
import { after, suite } from 'node:test';
import { testCrashPoints } from './crash-points/case-tests.ts';
import { makeImageCases } from './crash-points/image-cases.ts';

const images = await makeImageCases(await mkdtemp('/var/tmp/everboot-crash-images-'));
after(images.close);

suite('a kill before any call by which a fetch changes files leaves nothing partial under a final name', {
  concurrency: 2,
}, () => {
  testCrashPoints(images.cases);
});
