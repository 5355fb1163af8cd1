import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';

let up: RunningEverboot;
let connection: Connection;
let client: Client;
before(async () => {
  up = await startEverboot({ command: 'up', toml: '[host]\nreconcile_interval = 86400\n' });
  connection = await Connection.connect({ address: up.ready.temporal });
  client = new Client({ connection });
});
after(async () => {
  await connection.close();
  await up.stop();
});

test('a worker has its host reconciled when it starts, and makes the schedule for the next times', {
  timeout: 60_000,
}, async (t) => {
  // It begins a moment after the worker says that it is ready.
  const handle = client.workflow.getHandle(`host/${up.host}/reconcile`);
  while (
    !(await handle.describe().then(
      () => true,
      () => false,
    ))
  )
    await sleep(50, undefined, { signal: t.signal });
  const { resumed, dryRun } = await handle.result();
  assert.deepEqual([resumed, dryRun], [null, false]);
  const { spec, action } = await client.schedule.getHandle(`everboot-host-reconcile/${up.host}`).describe();
  assert.equal(spec.intervals?.[0]?.every, 86_400_000);
  assert.ok(action.type === 'startWorkflow');
  assert.deepEqual([action.workflowType, action.args], ['reconcileHost', [{ host: up.host, dryRun: false }]]);
});

test('the command says what would be removed, what stays and why; then removes it', async () => {
  const nova = join(up.paths.instances, randomUUID());
  await mkdir(nova);
  const left = join(up.paths.instances, `${randomUUID()}.0a1b2c3d.everboot-tmp`);
  await mkdir(left);
  const then = new Date(Date.now() - 2 * 3_600_000);
  await utimes(left, then, then);

  const dry = await up.run(['host', 'reconcile', '--dry-run']);
  assert.equal(dry.code, 0, dry.stderr);
  const lineOf = (path: string): string => dry.stdout.split('\n').find((line) => line.includes(path)) ?? '';
  assert.match(lineOf(left), /^would go .*partial/);
  assert.match(lineOf(nova), /^stays .*carries no claim/);
  assert.match(dry.stdout, /Everboot never touches it/);
  assert.match(dry.stdout, new RegExp(`${up.host}: 1 would be removed, \\d+ to look at`));
  assert.ok((await readdir(up.paths.instances)).includes(left.split('/').at(-1) as string));

  const { code, document } = await up.json(['host', 'reconcile', '--host', up.host]);
  assert.equal(code, 0, JSON.stringify(document));
  assert.deepEqual(document.removed, [{ subject: left, claim: null, parts: [], reason: 'Orphaned', note: '' }]);
  assert.equal(document.counts.Orphaned, 1);
  assert.ok(document.kept.some(({ subject, reason }: any) => subject === nova && reason === 'NoClaim'));
  assert.deepEqual((await readdir(up.paths.instances)).sort(), ['.everboot', '_base', nova.split('/').at(-1)].sort());
});

test('a host that nobody has heard of is refused at once', async () => {
  const { code, document } = await up.json(['host', 'reconcile', '--host', 'nope']);
  assert.deepEqual([code, document.error.code], [5, 'HostUnreachable']);
  assert.match(document.error.message, /no worker of nope/);
  assert.ok(document.error.remedy.includes(up.host));
});
