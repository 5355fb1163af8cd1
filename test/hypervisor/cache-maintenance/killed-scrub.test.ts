import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { addClaim } from '../../../hypervisor/image-store/claims.ts';
import { scrubCache } from '../../../hypervisor/image-store/maintenance/scrub-cache.ts';
import { closeLibvirt } from '../../../hypervisor/libvirt/libvirt.ts';
import { killProcess, named, putBase, startProcess, testCache } from '../../fixtures/test-cache.ts';

after(closeLibvirt);

const control = { signal: AbortSignal.timeout(600_000), onProgress: () => undefined };
const scrubbing = `
  const { scrubCache } = await load('hypervisor/image-store/maintenance/scrub-cache.ts');
  process.stdout.write('ready');
  for (;;) await scrubCache(given.maintenance, { names: null, force: given.force }, control);`;

test('a scrub that is killed is continued at the files that are still due', { timeout: 300_000 }, async (t) => {
  const maintenance = await testCache(t, { scrubBytesPerSecond: 4 * 2 ** 20 });
  const { paths, settings } = maintenance;
  for (const letter of 'abcdef') await putBase(paths, named(letter));
  const child = startProcess(t, scrubbing, { maintenance, force: false });
  const recorded = async (): Promise<string[]> =>
    (await readdir(paths.scrubs)).filter((name) => name.endsWith('.json')).sort();
  while ((await recorded()).length < 2 && child.exitCode === null) await sleep(10, undefined, { signal: t.signal });
  await killProcess(child);
  const before = await recorded();
  const fast = { ...maintenance, settings: { ...settings, scrubBytesPerSecond: 2 ** 34 } };
  const report = await scrubCache(fast, { names: null, force: false }, control);
  assert.deepEqual([report.checkedFiles, report.recordedFiles], [6 - before.length, 6 - before.length]);
  assert.equal((await recorded()).length, 6);
});

test('a scrub that is killed at any moment loses no sound base, and the damaged one is reported in the end', {
  timeout: 300_000,
}, async (t) => {
  const maintenance = await testCache(t);
  const { paths } = maintenance;
  for (const letter of 'abcdef') await putBase(paths, named(letter));
  await scrubCache(maintenance, { names: null, force: false }, control);
  const contents = await readFile(join(paths.cache, named('a')));
  const claim = { instanceId: randomUUID(), operationId: randomUUID() };
  await addClaim(paths, named('d'), claim);
  const rotten = await open(join(paths.cache, named('d')), 'r+');
  t.after(() => rotten.close());
  await rotten.write(Buffer.from('rotten'), 0, 6, 70_000);

  for (let round = 0; round < 6; round += 1) {
    const child = startProcess(t, scrubbing, { maintenance, force: true });
    if (child.stdout !== null) await once(child.stdout, 'data');
    await sleep(Math.random() * 400);
    await killProcess(child);
    const names = await readdir(paths.cache);
    assert.equal(names.length, 6, `round ${round}: ${names}`);
    const sound = names.filter((name) => !name.startsWith(named('d')));
    assert.deepEqual(sound.sort(), [...'abcef'].map(named));
  }
  assert.deepEqual(await readFile(join(paths.cache, named('a'))), contents);
  const { damaged } = await scrubCache(maintenance, { names: null, force: true }, control);
  assert.deepEqual(
    damaged.map(({ name, title, instances }) => [name, title, instances]),
    [[named('d'), 'dddd', [claim.instanceId]]],
  );
  assert.ok((await readdir(paths.cache)).includes(damaged[0]?.quarantinedAs ?? 'nothing'));
  assert.equal(damaged[0]?.order?.image.reference && 'file' in damaged[0].order.image.reference, true);
});
