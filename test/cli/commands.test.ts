import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { EverbootFailure, type FailureCode } from '../../domain/failures.ts';
import { hold, type PretendCloud, type PretendHost, smallSpec, startPretendCloud } from '../client/pretend-host.ts';
import { type Ended, runEverboot, startEverboot } from './run-everboot.ts';

let cloud: PretendCloud;
let host: PretendHost;
let environment: NodeJS.ProcessEnv;
before(async () => {
  cloud = await startPretendCloud();
  host = await cloud.addHost('host-a');
  environment = { TEMPORAL_ADDRESS: cloud.server.address, EVERBOOT_STATE_DIR: join(cloud.folder, 'state') };
});
after(async () => {
  await cloud.stop();
});
beforeEach(() => {
  host.onStep = async () => undefined;
});

async function run(args: readonly string[], input?: object): Promise<Ended & { document: any }> {
  const ended = await runEverboot([...args, '--json'], environment, input === undefined ? '' : JSON.stringify(input));
  return { ...ended, document: JSON.parse(ended.stdout) };
}

/** Holds every instance at a step until the test is over. */
function holdAt(step: string): Promise<void> {
  const reached = Promise.withResolvers<void>();
  host.onStep = async (name) => {
    if (name !== step) return;
    reached.resolve();
    await hold();
  };
  return reached.promise;
}

test('create prints what was made, and its progress beside it', async () => {
  const spec = smallSpec();
  const { code, document, stderr } = await run(['create', '-f', '-'], spec);
  assert.equal(code, 0);
  assert.deepEqual(document, {
    ...{ instanceId: spec.id, name: 'web-1', host: 'host-a', state: 'defined' },
    ...{ directory: `/pretend/${spec.id}`, disks: [], domain: spec.id },
  });
  assert.match(stderr, /✓ mark web-1 ready/);
});

test('show, list and delete know an instance by its id', async () => {
  const spec = smallSpec({ name: 'shown' });
  await run(['create', '-f', '-'], spec);
  const shown = await run(['show', String(spec.id)]);
  assert.equal(shown.code, 0);
  const { instanceId, name, host: on, phase, operation, steps, result, error } = shown.document;
  assert.deepEqual([instanceId, name, on, phase, operation], [spec.id, 'shown', 'host-a', 'Ready', 'create']);
  assert.deepEqual([steps.length, result.state, error], [4, 'defined', undefined]);
  const plain = await runEverboot(['show', String(spec.id)], environment);
  assert.match(plain.stdout, /^shown: Ready\n/);
  const { document: list } = await run(['list']);
  assert.equal(list.more, false);
  assert.ok(Array.isArray(list.instances));
  const deleted = await run(['delete', String(spec.id)]);
  assert.deepEqual([deleted.code, deleted.document.existed], [0, true]);
  const again = await run(['delete', String(spec.id)]);
  assert.deepEqual([again.code, again.document.existed], [0, false]);
});

for (const [code, exitCode] of [
  ['DomainRejected', 1],
  ['ImageDigestMismatch', 3],
  ['FlavorDiskTooSmall', 3],
  ['SecretKeyMissing', 2],
  ['HostUnreachable', 5],
] as const satisfies readonly (readonly [FailureCode, number])[]) {
  test(`a boot that fails with ${code} exits with ${exitCode}`, async () => {
    host.onStep = async (step) => {
      if (step === 'reserveInstance') throw new EverbootFailure(code, 'injected', { problems: ['the first thing'] });
    };
    const spec = smallSpec();
    const { code: exited, document, stderr } = await run(['create', '-f', '-'], spec);
    assert.equal(exited, exitCode);
    const { remedy, retryable, ...error } = document.error;
    const problems = ['the first thing'];
    assert.deepEqual(error, { code, message: 'injected', instanceId: spec.id, step: 'reserveInstance', problems });
    assert.equal(typeof remedy, 'string');
    assert.equal(retryable, code === 'HostUnreachable');
    assert.match(stderr, /error: injected\n {2}- the first thing\n/);
  });
}

test('a Ctrl-C leaves the boot running and says how to continue; cancel then waits until it is undone', async () => {
  const reached = holdAt('defineDomain');
  const spec = smallSpec();
  const create = startEverboot(['create', '-f', '-', '--json'], environment, JSON.stringify(spec));
  await reached;
  await create.heard('▸ define the domain');
  create.process.kill('SIGINT');
  const { code, stdout, stderr } = await create.ended;
  assert.equal(code, 130);
  const document = { instanceId: spec.id, name: 'web-1', host: 'host-a', detached: true, joined: false };
  assert.deepEqual(JSON.parse(stdout), document);
  assert.ok(stderr.includes(`everboot watch ${spec.id}`));
  assert.ok(stderr.includes(`everboot cancel ${spec.id}`));
  assert.ok(host.records.has(String(spec.id)));
  const cancelled = await run(['cancel', String(spec.id)]);
  assert.equal(cancelled.code, 0);
  assert.deepEqual([cancelled.document.phase, cancelled.document.cancelled], ['Cancelled', true]);
  assert.equal(host.records.has(String(spec.id)), false);
});

test('--detach returns once started; watch looks on, a JSON line for each change', async () => {
  let isReleased = false;
  host.onStep = async (step) => {
    if (step === 'defineDomain') await hold(() => isReleased);
  };
  const spec = smallSpec();
  const { code, document } = await run(['create', '-f', '-', '--detach'], spec);
  assert.deepEqual([code, document.detached, document.instanceId], [0, true, spec.id]);
  const watch = startEverboot(['watch', String(spec.id), '--json'], environment);
  await new Promise((resolve) => watch.process.stdout?.once('data', resolve));
  isReleased = true;
  const watched = await watch.ended;
  assert.equal(watched.code, 0);
  const lines = watched.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.ok(lines.length >= 3);
  assert.deepEqual([lines[0].event, lines[0].phase], ['progress', 'Building']);
  assert.deepEqual([lines.at(-1).event, lines.at(-1).state], ['ready', 'defined']);
});

test('an id that nobody knows exits with 1, what is no id with 2', async () => {
  for (const command of ['show', 'cancel', 'watch']) {
    const { code, document } = await run([command, randomUUID()]);
    assert.deepEqual([code, document.error.code], [1, 'InstanceNotFound']);
    assert.equal((await run([command, 'web-1'])).code, 2);
  }
});

test('the same id for another spec exits with 1 and names the instance', async () => {
  const spec = smallSpec();
  await run(['create', '-f', '-'], spec);
  const { code, document } = await run(['create', '-f', '-'], { ...spec, name: 'web-2' });
  assert.deepEqual([code, document.error.code, document.error.instanceId], [1, 'InstanceExists', spec.id]);
});
