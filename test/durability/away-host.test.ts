import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { makeRawImage } from '../fixtures/images.ts';
import { startEverboot } from '../fixtures/running-everboot.ts';
import { serveSlowly } from '../fixtures/slow-image-server.ts';
import { startOwnTemporalServer } from '../fixtures/temporal-server.ts';

const mebibyte = 2 ** 20;

test('a host that goes away in the middle is waited for, and said so; the boot continues when it is back', async () => {
  const temporal = await startOwnTemporalServer();
  const common = { command: 'worker', times: 'short', environment: { TEMPORAL_ADDRESS: temporal.address } } as const;
  const host = await startEverboot(common);
  // Another host's worker stays, so that somebody still takes the workflow's own tasks.
  const other = await startEverboot(common);
  const image = await makeRawImage(host.folder, 'away.raw', 16 * mebibyte);
  const server = await serveSlowly(image.path, mebibyte);
  try {
    const started = await other.json(['create', '-f', '-', '--detach', '--host', host.host], {
      name: 'away',
      flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 0 },
      image: { url: server.url, digest: image.digest, format: 'raw' },
      boot: 'disks',
    });
    const { instanceId } = started.document;
    const untilPhase = async (phase: string): Promise<void> => {
      const deadline = Date.now() + 150_000;
      for (;;) {
        const { document } = await other.json(['show', instanceId]);
        if (document.phase === phase) return;
        assert.ok(Date.now() < deadline, `${phase} was not entered: ${JSON.stringify(document)}`);
        await sleep(500);
      }
    };
    await sleep(1500);
    await host.kill('SIGKILL');
    await untilPhase('WaitingForHost');
    server.bytesPerSecond = 400 * mebibyte;
    await host.start();
    await untilPhase('Ready');
    assert.equal((await other.json(['delete', instanceId])).code, 0);
    await assertCleanSlate(host.paths, [instanceId]);
  } finally {
    await server.close();
    await host.stop();
    await other.stop();
    await temporal.stop();
  }
});
