import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MockActivityEnvironment } from '@temporalio/testing';
import { fenceRun } from '../../../activities/fencing/fence-run.ts';
import { clientOfRunningOperation, type Described } from '../../fixtures/running-operation-client.ts';

const instanceId = '11111111-0000-4000-8000-000000000001';
const claim = { instanceId, operationId: 'first' };

function ask(workflowId: string, described: Described | undefined): Promise<unknown> {
  const info = { workflowExecution: { workflowId, runId: 'run' } };
  const environment = new MockActivityEnvironment(info, { client: clientOfRunningOperation(async () => described) });
  return environment.run(() => fenceRun(claim));
}

const running = { status: { name: 'RUNNING' } };
const own = `instance/${instanceId}`;
const precache = 'cache/host/fetch/image';
const superseded = { code: 'OperationSuperseded' };

test('a step is wanted while its run is open under its claim, or names none', async () => {
  await ask(own, { ...running, memo: { operationId: 'first' } });
  await ask(own, running);
});

test('a step of a run that ended, or continued under another claim, is not', async () => {
  await assert.rejects(ask(own, { status: { name: 'FAILED' }, memo: { operationId: 'first' } }), superseded);
  await assert.rejects(ask(own, undefined), superseded);
  await assert.rejects(ask(own, { ...running, memo: { operationId: 'second' } }), superseded);
});

test('a fetch without an instance needs nothing but its run', async () => {
  await ask(precache, { ...running, memo: { operationId: 'of something else' } });
  await assert.rejects(ask(precache, { status: { name: 'TERMINATED' } }), superseded);
});
