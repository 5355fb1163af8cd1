import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startWorkflow } from '../../client/temporal/workflow-calls.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { ReconcileResult } from '../../domain/host-maintenance.ts';
import { instanceWorkflowId } from '../../domain/operations.ts';
import { domainState } from '../../hypervisor/libvirt/libvirt.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { makeQcow2Image, type TestImage } from '../fixtures/images.ts';
import { startTestHost, type TestHost } from '../fixtures/test-host.ts';

const uri = 'qemu:///system';
let folder: string;
let bootIdFile: string;
let host: TestHost;
let image: TestImage;
before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-boot-id-');
  bootIdFile = join(folder, 'boot_id');
  await writeFile(bootIdFile, `${randomUUID()}\n`);
  host = await startTestHost({ toml: '[libvirt]\nresume_guests_state_on_host_boot = true\n', bootIdFile });
  image = await makeQcow2Image(host.folder, 'guest.qcow2', 8);
});
after(async () => {
  await host.stop();
  await rm(folder, { recursive: true });
});

async function virsh(...args: string[]): Promise<void> {
  await runProgram('virsh', ['-c', uri, ...args], { timeoutMs: 20_000 });
}

async function created(boot: 'running' | 'defined'): Promise<string> {
  const { spec } = await host.create({
    flavor: { vcpus: 1, memoryMb: 64, rootGb: 1, ephemeralGb: 0, swapMb: 0 },
    image: { file: image.path, digest: image.digest, format: 'qcow2' },
    boot,
  });
  await host.client.workflow.getHandle(instanceWorkflowId(spec.id)).result();
  return spec.id;
}

async function reconcile(): Promise<ReconcileResult> {
  const order = { host: host.name, dryRun: false };
  const workflowId = `host/${host.name}/reconcile/${randomUUID()}`;
  return await (await startWorkflow(host.client, 'reconcileHost', order, { workflowId })).result();
}

/** Ends every guest and says that the machine was started again: what libvirt keeps on disk is all that is left. */
async function reboot(ids: readonly string[]): Promise<void> {
  for (const id of ids) if ((await domainState(uri, id)) === 'running') await virsh('destroy', id);
  await writeFile(bootIdFile, `${randomUUID()}\n`);
}

function outcomes(result: ReconcileResult): Record<string, string> {
  return Object.fromEntries((result.resumed?.guests ?? []).map(({ instanceId, outcome }) => [instanceId, outcome]));
}

test('guests that ran are started after the host was; one that was off, one without a start, one being deleted are not', async () => {
  const [ran, off, defined, fresh, deleted] = await Promise.all([
    ...(['running', 'running', 'defined', 'running', 'running'] as const).map(created),
  ]);
  assert.ok(ran && off && defined && fresh && deleted);
  const all = [ran, off, defined, fresh, deleted];
  await virsh('destroy', off);
  assert.equal((await reconcile()).resumed, null, 'the machine was not started again');
  assert.deepEqual(JSON.parse(await readFile(host.paths.guests, 'utf8')).off, [off]);

  await reboot(all);
  // Its deletion was started before the crash, and has not got to its domain yet.
  const gate = Promise.withResolvers<void>();
  host.inject = async (step, run) => {
    if (step === 'deleteDomain') await gate.promise;
    return await run();
  };
  const deletion = host.remove(deleted);
  const result = await reconcile();
  assert.deepEqual(outcomes(result), {
    [ran]: 'started',
    [fresh]: 'started',
    [off]: 'left off',
    [deleted]: 'left off',
  });
  const notes = Object.fromEntries((result.resumed?.guests ?? []).map(({ instanceId, note }) => [instanceId, note]));
  assert.match(notes[deleted] ?? '', /being deleted/);
  assert.match(notes[off] ?? '', /shut off when it was last seen/);
  const states = await Promise.all(all.map((id) => domainState(uri, id)));
  assert.deepEqual(states, ['running', 'shut off', 'shut off', 'running', 'shut off']);

  await virsh('destroy', ran);
  assert.equal((await reconcile()).resumed, null, 'only once for each host reboot');
  assert.equal(await domainState(uri, ran), 'shut off');
  gate.resolve();
  host.inject = undefined;
  await deletion;
  for (const id of all) {
    await host.remove(id);
  }
  await assertCleanSlate(host.paths, all);
});

test('a guest that does not start keeps no other from it; after a worker’s death in the middle the rest is started', async () => {
  const [broken, second] = await Promise.all([created('running'), created('running')]);
  assert.ok(broken && second);
  await reconcile();
  await reboot([broken, second]);
  await runProgram('rm', [join(host.paths.instances, broken, 'disk')], { timeoutMs: 10_000 });
  let attempts = 0;
  host.inject = async (step, run) => {
    if (step !== 'resumeGuests') return await run();
    attempts += 1;
    // The first attempt's end is never heard of, as when its worker dies.
    const made = await run();
    if (attempts === 1) throw new EverbootFailure('WorkerStopping', 'the worker was killed');
    return made;
  };
  const result = await reconcile();
  host.inject = undefined;
  assert.deepEqual(outcomes(result), { [broken]: 'left off', [second]: 'runs already' });
  assert.equal(await domainState(uri, second), 'running');
  for (const id of [broken, second]) {
    await host.remove(id);
  }
  await assertCleanSlate(host.paths, [broken, second]);
});
