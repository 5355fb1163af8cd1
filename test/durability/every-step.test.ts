import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cancellationSignal, heartbeat } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure, WorkflowFailedError } from '@temporalio/client';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HostActivities } from '../../domain/host-activities.ts';
import { type InstanceResult, instanceWorkflowId } from '../../domain/operations.ts';
import { runProgram } from '../../hypervisor/run-program.ts';
import { assertCleanSlate, domainIds } from '../fixtures/clean-slate.ts';
import { makeQcow2Image, type TestImage } from '../fixtures/images.ts';
import { startTestHost, type TestHost } from '../fixtures/test-host.ts';

type Step = keyof HostActivities;

/** Every step of a boot that makes all kinds of disks from a cold cache, as `planInstance` orders them. */
const createSteps: readonly Step[] = [
  'planInstance',
  'reserveInstance',
  'claimBaseImage',
  'downloadImage',
  'verifyImage',
  'convertImage',
  'publishBaseImage',
  'createRootDisk',
  'createEphemeralDisk',
  'createSwapDisk',
  'copyBootFile',
  'writeConfigDrive',
  'defineDomain',
  'startDomain',
  'markReady',
];

let host: TestHost;
let image: TestImage;
let kernel: TestImage;
let count = 0;

before(async () => {
  host = await startTestHost();
  kernel = await makeQcow2Image(host.folder, 'kernel.img', 8);
});
after(async () => {
  await host.stop();
});

/** The file is no kernel, so the one that is struck as it starts goes without. */
const needsNoKernel = (step: Step): boolean => step === 'startDomain';

/** A spec with everything in it. The image is another one each time, so that the cache is cold for it. */
async function freshSpec(step: Step): Promise<Record<string, unknown>> {
  count += 1;
  image = await makeQcow2Image(host.folder, `image-${count}.qcow2`);
  return {
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 1, swapMb: 16 },
    image: { file: image.path, digest: image.digest, format: 'qcow2' },
    ...(needsNoKernel(step)
      ? { boot: 'running' }
      : { boot: 'defined', kernel: { file: kernel.path, digest: kernel.digest, format: 'raw' } }),
  };
}

async function resultOf(id: string): Promise<InstanceResult> {
  return (await host.client.workflow.getHandle(instanceWorkflowId(id)).result()) as InstanceResult;
}

async function deleteInstance(id: string): Promise<void> {
  host.strike = undefined;
  await host.client.workflow.execute('deleteInstance', {
    args: [{ operationId: crypto.randomUUID(), host: host.name, instanceId: id }],
    taskQueue: 'everboot',
    workflowId: instanceWorkflowId(id),
  });
}

/** Strikes one step by its name, once or always, and says whether it did. */
function strikeAt(
  step: Step,
  blow: (run: () => Promise<unknown>) => Promise<unknown>,
  times = Number.POSITIVE_INFINITY,
) {
  const struck = { times: 0 };
  host.strike = async (name, run) => {
    if (name !== step || struck.times >= times) return await run();
    struck.times += 1;
    return await blow(run);
  };
  return struck;
}

async function assertWhole(result: InstanceResult): Promise<void> {
  assert.deepEqual(
    result.disks.map(({ name }) => name),
    ['disk', 'disk.local', 'disk.swap', 'disk.config', ...(result.state === 'running' ? [] : ['kernel'])],
  );
  for (const disk of result.disks) {
    if (disk.format !== 'qcow2') continue;
    await runProgram('qemu-img', ['check', '-q', '-U', '-f', 'qcow2', disk.path], { timeoutMs: 10_000 });
  }
  const record = JSON.parse(await readFile(`${result.directory}/everboot.json`, 'utf8'));
  assert.equal(record.state, 'ready');
  assert.ok((await domainIds()).includes(result.instanceId));
}

test('undisturbed boots run exactly the steps that the other tests strike', async () => {
  host.ran.length = 0;
  for (const step of ['startDomain', 'copyBootFile'] as const) {
    const { spec } = await host.create(await freshSpec(step));
    await assertWhole(await resultOf(spec.id));
    await deleteInstance(spec.id);
    await assertCleanSlate(host.paths, [spec.id]);
  }
  const undone: readonly Step[] = ['readInstance', 'deleteDomain', 'deleteFiles'];
  const made = [...new Set(host.ran)].filter((step) => !undone.includes(step as Step));
  assert.deepEqual(made.sort(), [...createSteps].sort());
});

for (const step of createSteps) {
  test(`${step} fails for good before it did anything: nothing is left`, async () => {
    const struck = strikeAt(step, async () => {
      throw new EverbootFailure('ProgramFailed', `${step} was struck`);
    });
    const { spec } = await host.create(await freshSpec(step));
    await assert.rejects(resultOf(spec.id), (error) => failedWith(error, 'ProgramFailed', step));
    assert.ok(struck.times > 0);
    await assertCleanSlate(host.paths, [spec.id]);
  });

  test(`${step} fails for good after its effect: nothing is left`, async () => {
    const struck = strikeAt(step, async (run) => {
      await run();
      throw new EverbootFailure('ProgramFailed', `${step} was struck`);
    });
    const { spec } = await host.create(await freshSpec(step));
    await assert.rejects(resultOf(spec.id), (error) => failedWith(error, 'ProgramFailed', step));
    assert.ok(struck.times > 0);
    await assertCleanSlate(host.paths, [spec.id]);
  });

  test(`the boot is cancelled while ${step} runs: nothing is left`, async () => {
    let begun: () => void = () => undefined;
    const beginning = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const struck = strikeAt(step, async (run) => {
      await run();
      begun();
      const signal = cancellationSignal();
      while (!signal.aborted) {
        heartbeat();
        await sleep(20);
      }
      throw signal.reason;
    });
    const { spec } = await host.create(await freshSpec(step));
    await beginning;
    const handle = host.client.workflow.getHandle(instanceWorkflowId(spec.id));
    await handle.cancel();
    await assert.rejects(
      handle.result(),
      (error) => error instanceof WorkflowFailedError && error.cause instanceof CancelledFailure,
    );
    assert.ok(struck.times > 0);
    await assertCleanSlate(host.paths, [spec.id]);
  });

  test(`${step} runs twice: the instance is whole`, async () => {
    const struck = strikeAt(step, async (run) => {
      await run();
      return await run();
    });
    const { spec } = await host.create(await freshSpec(step));
    await assertWhole(await resultOf(spec.id));
    assert.ok(struck.times > 0);
    await deleteInstance(spec.id);
    await assertCleanSlate(host.paths, [spec.id]);
  });

  test(`${step} fails once in a way that may pass: the boot goes on`, async () => {
    const struck = strikeAt(
      step,
      async (run) => {
        await run();
        throw new EverbootFailure('HostIoError', `${step} was struck`, { retryAfterMs: 10 });
      },
      1,
    );
    const { spec } = await host.create(await freshSpec(step));
    await assertWhole(await resultOf(spec.id));
    assert.equal(struck.times, 1);
    await deleteInstance(spec.id);
    await assertCleanSlate(host.paths, [spec.id]);
  });
}

for (const undo of ['releaseInstance', 'removeDomain'] as const) {
  test(`${undo} fails twice: the undo goes on until nothing is left`, async () => {
    let refused = 0;
    host.strike = async (name, run) => {
      if (name === 'markReady') throw new EverbootFailure('ProgramFailed', 'struck');
      if (name === undo && refused < 2) {
        refused += 1;
        // Final for any other step; an undo goes on all the same.
        throw new EverbootFailure('ProgramFailed', 'struck', { retryAfterMs: 10 });
      }
      return await run();
    };
    const { spec } = await host.create(await freshSpec('startDomain'));
    await assert.rejects(resultOf(spec.id), (error) => failedWith(error, 'ProgramFailed', 'markReady'));
    assert.equal(refused, 2);
    await assertCleanSlate(host.paths, [spec.id]);
  });

  test(`${undo} runs twice: nothing is left, and nothing else is touched`, async () => {
    host.strike = async (name, run) => {
      if (name === 'markReady') throw new EverbootFailure('ProgramFailed', 'struck');
      if (name === undo) await run();
      return await run();
    };
    const { spec } = await host.create(await freshSpec('startDomain'));
    await assert.rejects(resultOf(spec.id));
    await assertCleanSlate(host.paths, [spec.id]);
  });
}

function failedWith(error: unknown, code: string, step: string): boolean {
  assert.ok(error instanceof WorkflowFailedError, String(error));
  const { cause } = error;
  assert.ok(cause instanceof ApplicationFailure, String(cause));
  assert.equal(cause.type, code);
  const [report] = (cause.details ?? []) as { step?: string }[];
  assert.equal(report?.step, step);
  return true;
}
