import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeterminismViolationError } from '@temporalio/workflow';
import { installTemporalRuntime } from '../../workers/temporal-runtime.ts';
import * as workflows from '../../workflows/index.ts';
import { testBundle } from '../fixtures/test-bundle.ts';
import { type KeptHistory, keptHistories, requiredShapes, unreleased } from './kept-histories.ts';
import { replayHistory } from './replay-history.ts';

installTemporalRuntime();
// The bundle that a host's worker runs, made in the same way.
const bundle = await testBundle('product');
const kept = await keptHistories();

for (const [release, shapes] of Object.entries(requiredShapes)) {
  for (const shape of shapes) {
    test(`a history of ${shape} as ${release} writes it is kept`, () => {
      assert.ok(kept.some((history) => history.release === release && history.shape === shape));
    });
  }
}

for (const workflowType of Object.keys(workflows)) {
  test(`a history of the workflow ${workflowType} is kept`, () => {
    assert.ok(kept.some((history) => history.release === unreleased && history.workflowType === workflowType));
  });
}

for (const history of kept) {
  const { workflowType, release, shape } = history;
  test(`${workflowType} continues what ${release} started: ${shape}`, async () => {
    await replayHistory(bundle, history);
  });
}

function isRefusal(error: unknown, { workflowType, release, shape }: KeptHistory): boolean {
  assert.ok(error instanceof Error && error.cause instanceof DeterminismViolationError, String(error));
  assert.ok(error.message.startsWith(`${workflowType} cannot continue the history ${release}/${shape}: `));
  return true;
}

for (const history of kept) {
  test(`another last step than in ${history.release}/${history.shape} is noticed, by its workflow's name`, async () => {
    const other = structuredClone(history);
    const step = other.history.events.findLast((event) => 'activityTaskScheduledEventAttributes' in event);
    step.activityTaskScheduledEventAttributes.activityType.name = 'somethingElse';
    await assert.rejects(replayHistory(bundle, other), (error) => isRefusal(error, history));
  });
}

test('a workflow that leaves out a step of its own, or has one more, is noticed', async () => {
  const [cold] = kept.filter(({ shape }) => shape === 'create-cold');
  assert.ok(cold !== undefined);
  for (const change of ['', 'await host.readInstance("one more", claim); await host.markReady(']) {
    const code = bundle.code.replace('await host.markReady(', change === '' ? 'void (' : change);
    assert.notEqual(code, bundle.code);
    await assert.rejects(replayHistory({ code }, cold), (error) => isRefusal(error, cold));
  }
});
