import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { instanceWorkflowId } from '../../domain/operations.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { makeRawImage, type TestImage } from '../fixtures/images.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';
import { type SlowImageServer, serveSlowly } from '../fixtures/slow-image-server.ts';
import { until } from '../fixtures/until.ts';
import { type MortalTemporal, startMortalTemporal } from './harness/mortal-temporal.ts';

const mebibyte = 2 ** 20;
/** Longer than the steps’ heartbeat timeout. */
const outageMs = 12_000;
const saysSo = /does not answer.*; waiting for it to come back/;

let temporal: MortalTemporal;
let worker: RunningEverboot;
before(async () => {
  temporal = await startMortalTemporal();
  worker = await startEverboot({ command: 'worker', environment: { TEMPORAL_ADDRESS: temporal.address } });
});
after(async () => {
  await worker.stop();
  await temporal.stop();
});

interface Source {
  readonly image: TestImage;
  readonly server: SlowImageServer;
  readonly spec: string;
  readonly id: string;
}

/** A boot of disks only, whose image comes from a server of its own that stops sending in the middle. */
async function heldBoot(name: string, sizeBytes: number, holdAtBytes: number): Promise<Source> {
  const image = await makeRawImage(worker.folder, `${name}.raw`, sizeBytes);
  const server = Object.assign(await serveSlowly(image.path, 2 ** 30), { holdAtBytes });
  const id = crypto.randomUUID();
  const flavor = { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 0 };
  const from = { url: server.url, digest: image.digest, format: 'raw' };
  return { image, server, id, spec: JSON.stringify({ id, name, flavor, image: from, boot: 'disks' }) };
}

async function untilHeld({ server }: Source): Promise<void> {
  await until('a download in its middle', () => server.sentBytes === server.holdAtBytes);
}

async function withTemporal<Made>(work: (client: Client) => Promise<Made>): Promise<Made> {
  const connection = await Connection.connect({ address: temporal.address });
  try {
    return await work(new Client({ connection }));
  } finally {
    await connection.close();
  }
}

async function isCancelRequested(id: string): Promise<boolean> {
  return await withTemporal(async (client) => {
    const { events } = await client.workflow.getHandle(instanceWorkflowId(id)).fetchHistory();
    return (events ?? []).some((event) => event.workflowExecutionCancelRequestedEventAttributes);
  });
}

/**
 * Whether one attempt at a download is sure to continue: the first one if Temporal heard of it in time, else the next
 * one.
 */
async function continues({ id, server }: Source, sinceMs: number): Promise<boolean> {
  return await withTemporal(async (client) => {
    const { raw } = await client.workflow.getHandle(instanceWorkflowId(id)).describe();
    const [step] = raw.pendingActivities ?? [];
    const heardMs = Number(step?.lastHeartbeatTime?.seconds ?? 0) * 1000;
    return (step?.attempt === 1 && heardMs > sinceMs) || server.offsets.length > 1;
  });
}

async function assertWhole({ id, image, server }: Source): Promise<void> {
  const disk = join(worker.paths.instances, id, 'disk');
  await runProgram('qemu-img', ['compare', '-U', '-f', 'raw', '-F', 'qcow2', image.path, disk], { timeoutMs: 60_000 });
  const { size } = await stat(image.path);
  assert.equal(server.sentBytes, size, `every byte was sent once; asked for ${server.offsets}`);
}

test('Temporal away for longer than a heartbeat may take: the worker comes back by itself, and every command that waits says so and continues', async () => {
  const boots = await Promise.all([
    heldBoot('kept', 48 * mebibyte, 8 * mebibyte),
    heldBoot('cancelled', 8 * mebibyte, 4 * mebibyte),
    heldBoot('deleted', 9 * mebibyte, 4 * mebibyte),
  ]);
  const [kept, cancelled, deleted] = boots;
  try {
    const created = worker.run(['create', '-f', '-', '--json'], kept.spec);
    for (const { spec } of [cancelled, deleted]) await worker.run(['create', '-f', '-', '--detach'], spec);
    await Promise.all(boots.map(untilHeld));
    // While the worker stands still nothing that is cancelled can end.
    worker.process().kill('SIGSTOP');
    const cancel = worker.run(['cancel', cancelled.id, '--json']);
    const deletion = worker.run(['delete', deleted.id, '--json']);
    await until('both cancellations', async () => {
      return (await isCancelRequested(cancelled.id)) && (await isCancelRequested(deleted.id));
    });
    await temporal.signal('SIGKILL');
    worker.process().kill('SIGCONT');

    const refused = worker.run(['cancel', kept.id, '--json']);
    kept.server.holdAtBytes = 24 * mebibyte;
    await sleep(outageMs);
    await untilHeld(kept);
    const { code, stdout } = await refused;
    assert.equal(code, 5, stdout);
    assert.equal(JSON.parse(stdout).error.code, 'TemporalUnreachable');
    await temporal.restart();
    const backMs = Date.now();
    await until('an attempt that continues', () => continues(kept, backMs));
    kept.server.holdAtBytes = Infinity;

    for (const [command, ended] of Object.entries({ create: created, cancel, delete: deletion })) {
      const { code, stdout, stderr } = await ended;
      assert.equal(code, 0, `${command}: ${stdout} ${stderr}`);
      assert.match(stderr, saysSo, command);
    }
    assert.equal(JSON.parse((await cancel).stdout).cancelled, true);
    await assertWhole(kept);
    assert.equal((await worker.json(['delete', kept.id])).code, 0);
    await assertCleanSlate(
      worker.paths,
      boots.map(({ id }) => id),
    );
  } finally {
    await Promise.all(boots.map(({ server }) => server.close()));
  }
});

test('a worker that is asked to stop while Temporal is silent ends, and leaves nothing partial under a final name', async () => {
  const boot = await heldBoot('stopped', 24 * mebibyte, 12 * mebibyte);
  const cached = await readdir(worker.paths.cache);
  try {
    await worker.run(['create', '-f', '-', '--detach'], boot.spec);
    await untilHeld(boot);
    await temporal.signal('SIGSTOP');
    const child = worker.process();
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    // Its own limit is 35 s; what hangs for longer than this would hang indefinitely.
    const code = await Promise.race([ended.then(([exitCode]) => exitCode), sleep(60_000, 'it hangs', { ref: false })]);
    assert.equal(code, 0);
    const made = (await readdir(worker.paths.cache)).filter((name) => !cached.includes(name));
    assert.deepEqual(
      made.filter((name) => !/\.part(\.json)?$/.test(name)),
      [],
    );
    const files = await readdir(join(worker.paths.instances, boot.id));
    assert.ok(!files.some((name) => name.startsWith('disk')), `${files}`);

    await temporal.signal('SIGCONT');
    boot.server.holdAtBytes = Infinity;
    await worker.start();
    await until('the instance', async () => (await worker.json(['show', boot.id])).document.phase === 'Ready');
    await assertWhole(boot);
    assert.deepEqual(boot.server.offsets, [0, 12 * mebibyte]);
    assert.equal((await worker.json(['delete', boot.id])).code, 0);
    await assertCleanSlate(worker.paths, [boot.id]);
  } finally {
    await temporal.signal('SIGCONT');
    await boot.server.close();
  }
});
