import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { InstanceSummary } from '../../client/progress/list-instances.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { makeQcow2Image, makeRawImage, type TestImage } from '../fixtures/images.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';
import { until } from '../fixtures/until.ts';

const mebibyte = 2 ** 20;
/** The shortest that a spec may ask for. */
const holdForSeconds = 60;

let up: RunningEverboot;
let image: TestImage;
let instances: string;
let forgotten: { readonly id: string; readonly until: number };
before(async () => {
  const folder = await mkdtemp('/var/tmp/everboot-test-');
  instances = join(folder, 'instances');
  await mkdir(instances);
  // A file system of its own, so that the kernel says how much room there is.
  await runProgram('mount', ['-t', 'tmpfs', '-o', 'size=96m,mode=0711', 'everboot-test', instances], {
    timeoutMs: 5000,
  });
  up = await startEverboot({ command: 'up', folder, environment: { EVERBOOT_HOST_RESERVED_DISK_MB: '0' } });
  image = await makeQcow2Image(up.folder, 'large.qcow2', 1100);
  forgotten = await createForgotten();
});
after(async () => {
  try {
    await up.stop();
  } finally {
    await runProgram('umount', ['-l', instances], { timeoutMs: 5000 });
    await rm(dirname(instances), { recursive: true, force: true });
  }
});

function spec(more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    ...{ id: randomUUID(), name: 'web-1', boot: 'disks', onFailure: 'hold' },
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 0 },
    ...more,
  };
}

/** Asks for an image that is larger than the flavor’s disk. */
function tooLarge(more: Record<string, unknown> = {}): Record<string, unknown> {
  return spec({ image: { file: image.path, digest: image.digest, format: 'qcow2' }, ...more });
}

/** Leaves a boot that nobody handles. */
async function createForgotten(): Promise<typeof forgotten> {
  const asked = tooLarge({ holdFor: holdForSeconds });
  const { code } = await up.json(['create', '-f', '-'], asked);
  assert.equal(code, 4);
  const { document } = await up.json(['show', String(asked.id)]);
  const [since, until] = [Date.parse(document.parked.since), Date.parse(document.parked.until)];
  assert.equal(until - since, holdForSeconds * 1000);
  return { id: String(asked.id), until };
}

/** Waits for what Temporal’s lists, which lag behind, say in the end. */
async function untilListed(id: string): Promise<readonly InstanceSummary[]> {
  for (;;) {
    const { document } = await up.json(['list', '--parked']);
    const listed = document.instances as readonly InstanceSummary[];
    if (listed.some(({ instanceId }) => instanceId === id)) return listed;
    await sleep(200);
  }
}

test('a boot that the host has no room for waits, and continues when there is room', async () => {
  const filler = join(instances, '.everboot', 'filler');
  await writeFile(filler, Buffer.alloc(80 * mebibyte));
  const dense = await makeRawImage(up.folder, 'dense.raw', 40 * mebibyte);
  const asked = spec({ name: 'full', image: { file: dense.path, digest: dense.digest, format: 'raw' } });
  const { code, document } = await up.json(['create', '-f', '-'], asked);
  assert.equal(code, 4, JSON.stringify(document));
  const { error } = document;
  assert.deepEqual([error.code, error.parked, error.instanceId], ['InsufficientSpace', true, asked.id]);
  assert.equal(error.retryable, false, 'the same create only joins it');
  const again = await up.json(['retry', String(asked.id)]);
  assert.deepEqual([again.code, again.document.error.code], [4, 'InsufficientSpace'], 'nothing has changed');
  await rm(filler);
  const retried = await up.json(['retry', String(asked.id)]);
  assert.equal(retried.code, 0, JSON.stringify(retried.document));
  assert.deepEqual([retried.document.state, retried.document.name], ['disks', 'full']);
  assert.equal((await up.json(['delete', String(asked.id)])).document.existed, true);
});

/** Retries with changes that cannot be made; the parked boot stays as it is. */
async function refusesChanges(id: string): Promise<void> {
  for (const [args, problem] of [
    [['--set', 'name=web-2'], /^name: a retry cannot change it$/],
    [['--set', 'hosts.0=other'], /^hosts: a retry cannot change it$/],
    [['--set', 'flavor.rootGb=many'], /^flavor.rootGb: "many", expected a whole number/],
    [['--set', 'boot.mode=disks'], /^boot.mode: no place in the spec$/],
  ] as const) {
    const { code, document } = await up.json(['retry', id, ...args]);
    assert.deepEqual([code, document.error.code], [2, 'SpecInvalid'], JSON.stringify(document));
    assert.match(document.error.problems[0], problem);
  }
  for (const value of ['adminPassword=planted', 'flavor']) {
    const { code, document } = await up.json(['retry', id, '--set', value]);
    assert.deepEqual([code, document.error.code], [2, 'UsageInvalid']);
    assert.ok(!JSON.stringify(document).includes('planted'));
  }
}

test('a flavor that is too small is enlarged by a retry; the parked boot is shown, listed and outlives a crash', async () => {
  const asked = tooLarge();
  const id = String(asked.id);
  const created = await up.run(['create', '-f', '-'], JSON.stringify(asked));
  assert.equal(created.code, 4, created.stderr);
  assert.equal(created.stdout, '');
  const end = `parked; it waits for an operator, and keeps its finished steps:\n  continue: everboot retry ${id} --set flavor.rootGb=N\n  abandon:  everboot abandon ${id}\n`;
  assert.ok(created.stderr.endsWith(end), created.stderr);
  assert.match(created.stderr, /^! waits for an operator for .*: FlavorDiskTooSmall/m);

  // Both the worker and Temporal: `up` takes its server with it.
  await up.kill('SIGKILL');
  await up.start();
  const joined = await up.json(['create', '-f', '-'], asked);
  assert.deepEqual(
    [joined.code, joined.document.error.code, joined.document.error.parked],
    [4, 'FlavorDiskTooSmall', true],
  );
  const watched = await up.run(['watch', id, '--json']);
  assert.equal(watched.code, 4);
  const lines = watched.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(lines[0].parked.code, 'FlavorDiskTooSmall');
  assert.equal(lines.at(-1).error.parked, true);

  const { document: shown } = await up.json(['show', id]);
  assert.equal(shown.phase, 'NeedsOperator');
  assert.equal(shown.parked.until, undefined);
  assert.ok(shown.parked.remedy.length > 0 && Date.parse(shown.parked.since) > 0);
  const { stdout: text } = await up.run(['show', id]);
  assert.match(text, /^web-1: NeedsOperator\n/);
  assert.match(text, /parked +FlavorDiskTooSmall in createRootDisk, for /);
  const listed = (await untilListed(id)).find(({ instanceId }) => instanceId === id);
  assert.equal(listed?.parked?.code, 'FlavorDiskTooSmall');
  const { stdout: table } = await up.run(['list', '--parked']);
  assert.match(
    table,
    new RegExp(`^ID +NAME +HOST +CODE +STEP +SINCE\n(.*\n)*${id} +web-1 +${up.host} +FlavorDiskTooSmall`),
  );

  await refusesChanges(id);
  const args = ['--set', 'flavor.rootGb=2', '--set', 'metadata.role=db', '-f', '-'];
  const retried = await up.json(['retry', id, ...args], 'metadata: {team: storage}\n');
  assert.equal(retried.code, 0, JSON.stringify(retried.document));
  const root = retried.document.disks.find(({ name }: { name: string }) => name === 'disk');
  assert.equal(root.virtualSizeBytes, 2 * 2 ** 30);
  const again = await up.json(['retry', id]);
  assert.deepEqual([again.code, again.document.error.code], [1, 'OperationEnded']);
  assert.match(again.document.error.message, /has ended as Ready/);
  // What was changed is the request from now on.
  const { code } = await up.json(['create', '-f', '-'], {
    ...asked,
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 2, ephemeralGb: 0, swapMb: 0 },
    metadata: { team: 'storage', role: 'db' },
  });
  assert.equal(code, 0);
  assert.equal((await up.json(['delete', id])).document.existed, true);
});

test('a parked boot can be abandoned, cancelled and deleted, and nothing is left of it', async () => {
  const [abandoned, cancelled, deleted] = [tooLarge(), tooLarge(), tooLarge()];
  const ends = [abandoned, cancelled, deleted].map((asked) => up.json(['create', '-f', '-'], asked));
  for (const { code } of await Promise.all(ends)) assert.equal(code, 4);
  const given = await up.json(['abandon', String(abandoned.id)]);
  assert.equal(given.code, 0);
  const { error, ...rest } = given.document;
  assert.deepEqual(rest, { instanceId: abandoned.id, operation: 'create', host: up.host, phase: 'Failed' });
  assert.equal(error.code, 'FlavorDiskTooSmall');
  const twice = await up.json(['abandon', String(abandoned.id)]);
  assert.deepEqual([twice.code, twice.document.error.code], [1, 'OperationEnded']);
  assert.equal((await up.json(['cancel', String(cancelled.id)])).document.phase, 'Cancelled');
  assert.equal((await up.json(['delete', String(deleted.id)])).document.existed, false);
  assert.equal((await up.json(['retry', randomUUID()])).document.error.code, 'InstanceNotFound');
});

test('a host is abandoned only where somebody says yes', async () => {
  const { code, document } = await up.json(['abandon', forgotten.id, '--host-gone']);
  assert.deepEqual([code, document.error.code], [2, 'UsageInvalid']);
  const asked = document.error.message;
  assert.match(asked, new RegExp(`the create of .* \\(${forgotten.id}\\) on ${up.host}\\..*not stopped`));
});

test('nobody comes within the time that a spec says: the boot is abandoned by itself', async () => {
  await sleep(Math.max(0, forgotten.until - Date.now()));
  // Its own timer may fire a moment later; one that is parked still would not be waited for.
  await until('the end of the wait', async () => {
    const { document } = await up.json(['show', forgotten.id]);
    return document.phase !== 'NeedsOperator';
  });
  const watched = await up.run(['watch', forgotten.id, '--json']);
  assert.equal(watched.code, 3, watched.stderr);
  const { error } = JSON.parse(watched.stdout.trimEnd().split('\n').at(-1) ?? '');
  assert.deepEqual([error.code, error.parked], ['FlavorDiskTooSmall', undefined]);
  await assertCleanSlate(up.paths, []);
});
