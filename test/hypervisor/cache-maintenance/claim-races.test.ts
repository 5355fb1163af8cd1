import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { sweepCache } from '../../../hypervisor/image-store/maintenance/sweep-cache.ts';
import { closeLibvirt } from '../../../hypervisor/libvirt/libvirt.ts';
import { killProcess, named, orderOf, startProcess, testCache } from '../../fixtures/test-cache.ts';

after(closeLibvirt);

/**
 * A build, again and again: claims a file, makes it as a fetch does where it is missing, and looks for a while whether
 * it stays. It ends with a line as soon as a file vanished under its claim.
 */
const building = `
  const { randomUUID } = await import('node:crypto');
  const { rename, writeFile } = await import('node:fs/promises');
  const { setTimeout: sleep } = await import('node:timers/promises');
  const { addClaim, removeClaim } = await load('hypervisor/image-store/claims.ts');
  const { writeFacts, readFacts } = await load('hypervisor/image-store/base-facts.ts');
  const { lockKeys } = await load('hypervisor/locks/lock-keys.ts');
  const { waitForKernelLock } = await load('hypervisor/locks/kernel-lock.ts');
  const { isThere } = await load('hypervisor/files/small-file.ts');
  const { paths, orders } = given;
  for (let uses = 0; ; uses += 1) {
    const order = orders[uses % orders.length];
    const { cacheName } = order;
    const path = paths.cache + '/' + cacheName;
    const claim = { instanceId: randomUUID(), operationId: randomUUID() };
    await addClaim(paths, cacheName, claim);
    if (!(await isThere(path))) {
      const lock = await waitForKernelLock({ lockFile: paths.locks, key: lockKeys.fetch(cacheName).text }, { timeoutMs: 120_000 });
      if (!(await isThere(path))) {
        await writeFacts(paths, order, { from: 'part', format: 'raw', virtualSizeBytes: 4, fileSizeBytes: 4 });
        const temporary = path + '.0a1b2c3d.everboot-tmp';
        await writeFile(temporary, 'disk');
        await rename(temporary, path);
      }
      await lock.release();
    }
    for (let looks = 0; looks < 3; looks += 1) {
      if (!(await isThere(path)) || (await readFacts(paths, cacheName)) === undefined) {
        process.stdout.write('lost ' + cacheName + '\\n');
        process.exit(1);
      }
      await sleep(Math.random() * 3);
    }
    await removeClaim(paths, cacheName, claim);
    process.stdout.write('used\\n');
    await sleep(Math.random() * 4);
  }`;

test('no base is removed under a claim, however often two builds and two sweeps meet', {
  timeout: 120_000,
}, async (t) => {
  const maintenance = await testCache(t, { removeUnusedOriginalMinimumAgeSeconds: 0 });
  const orders = ['a', 'b'].map((letter) => orderOf(named(letter), 4));
  let said = '';
  const children = [0, 1].map(() => startProcess(t, building, { paths: maintenance.paths, orders }));
  for (const child of children) child.stdout?.on('data', (text: Buffer) => (said += text.toString()));
  const sweeper = startProcess(
    t,
    `const { sweepCache } = await load('hypervisor/image-store/maintenance/sweep-cache.ts');
     for (;;) await sweepCache(given, { dryRun: false }, control);`,
    maintenance,
  );
  try {
    const usesAtLeast = (count: number): boolean => said.split('used\n').length > count;
    let removals = 0;
    while (removals < 40 || !usesAtLeast(200)) {
      assert.ok(!said.includes('lost'), said.slice(-100));
      assert.deepEqual([sweeper.exitCode, ...children.map(({ exitCode }) => exitCode)], [null, null, null]);
      const control = { signal: t.signal, onProgress: () => undefined };
      removals += (await sweepCache(maintenance, { dryRun: false }, control)).removed.length;
    }
  } finally {
    // Before the folder goes.
    for (const child of [sweeper, ...children]) await killProcess(child);
  }
});
