import { mkdtemp } from 'node:fs/promises';
import { after, suite, test } from 'node:test';
import { makeImageCases } from './crash-points/image-cases.ts';
import { sweepCrashPoints } from './crash-points/sweep.ts';

const images = await makeImageCases(await mkdtemp('/var/tmp/everboot-crash-images-'));
after(images.close);

suite('a kill before any call by which a fetch changes files leaves nothing half made under a final name', () => {
  for (const [title, crash] of Object.entries(images.cases)) {
    test(title, { timeout: 300_000 }, (t) => sweepCrashPoints(t, crash));
  }
});
