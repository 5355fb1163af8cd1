import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { makeQcow2Image } from '../fixtures/images.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';
import { serveSlowly } from '../fixtures/slow-image-server.ts';

let up: RunningEverboot;
before(async () => {
  up = await startEverboot({ command: 'up', toml: '[glance]\nallow_unverified = true\n' });
});
after(() => up.stop());

test('an image without a digest boots on a host that allows it, and is refused by one that does not', async () => {
  const image = await makeQcow2Image(up.folder);
  const source = await serveSlowly(image.path, 400 * 2 ** 20);
  try {
    const spec = {
      name: 'unverified',
      flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 0 },
      image: { url: source.url, format: 'qcow2' },
      boot: 'disks',
    };
    const made = await up.json(['create', '-f', '-'], spec);
    assert.equal(made.code, 0, JSON.stringify(made.document));
    const again = await up.json(['create', '-f', '-'], spec);
    assert.equal(again.code, 0, JSON.stringify(again.document));
    assert.equal(source.offsets.length, 1, 'the second boot finds it in the cache');

    up.environment.EVERBOOT_GLANCE_ALLOW_UNVERIFIED = 'false';
    const refused = await up.json(['create', '-f', '-'], spec);
    assert.deepEqual([refused.code, refused.document.error.code], [2, 'SpecInvalid']);
    assert.match(refused.document.error.problems[0], /^image\.digest: missing/);
  } finally {
    await source.close();
  }
});
