import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { installTemporalRuntime } from '../../workers/temporal-runtime.ts';
import { workflowBundle } from '../../workers/workflow-bundle.ts';

installTemporalRuntime();
const folder = new URL('../histories/', import.meta.url).pathname;
const state = await mkdtemp('/var/tmp/everboot-test-replay-');
after(() => rm(state, { recursive: true, force: true }));
const bundle = await workflowBundle(state);
const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();

async function replay(history: unknown): Promise<void> {
  await Worker.runReplayHistory({ workflowBundle: bundle }, historyFromJSON(history));
}

test('histories of a boot, a failure, a cancellation, a deletion and the care of a cache were recorded', () => {
  const instance = ['create-cold', 'create-warm', 'create-failed', 'create-cancelled', 'create-retried', 'delete'];
  const cache = ['cache-precache', 'cache-list', 'cache-sweep', 'cache-scrub', 'cache-scrub-damaged'];
  for (const kind of [...instance, ...cache]) {
    assert.ok(
      names.some((name) => name.startsWith(kind)),
      kind,
    );
  }
});

for (const name of names) {
  test(`the recorded history ${name} replays: a running boot survives this release`, async () => {
    await replay(JSON.parse(await readFile(join(folder, name), 'utf8')));
  });
}

test('a history that this release would not have written is noticed', async () => {
  const history = JSON.parse(await readFile(join(folder, 'create-cold.json'), 'utf8'));
  const scheduled = history.events.find(
    (event: any) => event.activityTaskScheduledEventAttributes?.activityType?.name === 'reserveInstance',
  );
  scheduled.activityTaskScheduledEventAttributes.activityType.name = 'somethingElse';
  await assert.rejects(replay(history), DeterminismViolationError);
});
