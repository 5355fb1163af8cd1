import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { WorkflowBundle } from '@temporalio/worker';
import { installTemporalRuntime } from '../../workers/temporal-runtime.ts';
import { activitiesOf, keptHistories, unreleased } from '../workflows/kept-histories.ts';
import { replayHistory } from '../workflows/replay-history.ts';
import { keptReleases, stepsOf, thisCode, unpackRelease } from './releases.ts';

/** The shapes that a release cannot continue when the workers are rolled back to it: it lacks what was asked for. */
const beyond: Readonly<Record<string, readonly string[]>> = {
  '0.1': [
    ...['hold-retry', 'hold-retry-changed', 'hold-retry-at-the-end', 'hold-abandon', 'hold-cancelled', 'hold-deadline'],
    ...['host-unreachable-and-back', 'host-gone-next-host', 'host-absent-next-host'],
    ...['host-gone-abandoned', 'host-gone-cleanup', 'hold-host-gone', 'delete-host-gone'],
    ...['reconcile', 'reconcile-after-reboot'],
  ],
};

/** The workflows that ask hosts for steps which a release lacks. None of them is a boot, a deletion or a reading. */
const upgradedHostsOnly = ['cleanUpHost', 'reconcileHost'];

installTemporalRuntime();
const kept = (await keptHistories()).filter(({ release }) => release === unreleased);

for (const name of await keptReleases()) {
  const release = await unpackRelease(name);
  const state = await mkdtemp('/var/tmp/everboot-test-replay-');
  test.after(async () => {
    await rm(state, { recursive: true, force: true });
    await release.remove();
  });
  const { workflowBundle } = await import(join(release.root, 'workers/workflow-bundle.ts'));
  const bundle: WorkflowBundle = await workflowBundle(state);

  for (const history of kept) {
    const { workflowType, shape } = history;
    if (beyond[name]?.includes(shape)) {
      test(`${name} cannot continue a ${workflowType} of this code, and says so: ${shape}`, async () => {
        await assert.rejects(replayHistory(bundle, history), new RegExp(`^Error: ${workflowType} cannot continue`));
      });
    } else {
      test(`${name} continues a ${workflowType} that this code started: ${shape}`, async () => {
        await replayHistory(bundle, history);
      });
    }
  }

  const [ours, theirs] = [await stepsOf(thisCode), await stepsOf(release)];
  const lacking = ours.filter((step) => !theirs.includes(step));
  for (const step of lacking) {
    test(`no boot or deletion asks a host of ${name} for the step ${step}, which it lacks`, () => {
      const asking = kept.filter((history) => activitiesOf(history).includes(step));
      assert.deepEqual(
        asking.map(({ workflowType }) => workflowType).filter((type) => !upgradedHostsOnly.includes(type)),
        [],
      );
    });
  }

  test(`this code has every step that ${name} asks for, since its boots are continued by either`, () => {
    assert.deepEqual(
      theirs.filter((step) => !ours.includes(step)),
      [],
    );
  });
}
