import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { after, test } from 'node:test';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { installTemporalRuntime } from '../../workers/temporal-runtime.ts';
import { workflowBundle } from '../../workers/workflow-bundle.ts';
import * as workflows from '../../workflows/index.ts';
import { keptHistories, requiredShapes, unreleased } from './kept-histories.ts';

installTemporalRuntime();
const state = await mkdtemp('/var/tmp/everboot-test-replay-');
after(() => rm(state, { recursive: true, force: true }));
// What hosts run, and not the sources: the bundler is part of what may break a history.
const bundle = await workflowBundle(state);
const kept = await keptHistories();

async function replay(history: unknown): Promise<void> {
  await Worker.runReplayHistory({ workflowBundle: bundle }, historyFromJSON(history));
}

for (const [release, shapes] of Object.entries(requiredShapes)) {
  for (const shape of shapes) {
    test(`a history of ${shape} as ${release} writes it is kept`, () => {
      assert.ok(kept.some((history) => history.release === release && history.shape === shape));
    });
  }
}

for (const workflowType of Object.keys(workflows)) {
  test(`a history of the workflow ${workflowType} as this code writes it is kept`, () => {
    assert.ok(kept.some((history) => history.release === unreleased && history.workflowType === workflowType));
  });
}

for (const { release, shape, workflowType, history } of kept) {
  test(`${workflowType} carries on what ${release} began: ${shape}`, async () => {
    await replay(history);
  });
}

for (const { release, shape, workflowType, history } of kept) {
  test(`a ${workflowType} that ${release} would not have written is noticed: ${shape}`, async () => {
    const changed = structuredClone(history);
    const last = changed.events.findLast((event) => 'activityTaskScheduledEventAttributes' in event);
    last.activityTaskScheduledEventAttributes.activityType.name = 'somethingElse';
    await assert.rejects(replay(changed), DeterminismViolationError);
  });
}
