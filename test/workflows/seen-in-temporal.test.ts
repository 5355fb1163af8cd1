import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, Connection, defaultPayloadConverter } from '@temporalio/client';
import { instanceWorkflowId, searchAttributeNames } from '../../domain/operations.ts';
import { makeQcow2Image } from '../fixtures/images.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';

let up: RunningEverboot;
let connection: Connection;
let client: Client;
let instanceId: string;
before(async () => {
  up = await startEverboot({ command: 'up' });
  connection = await Connection.connect({ address: up.ready.temporal });
  client = new Client({ connection });
  const image = await makeQcow2Image(up.folder);
  const { document } = await up.json(['create', '-f', '-'], {
    name: 'web-1',
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 1, swapMb: 16 },
    image: { file: image.path, digest: image.digest, format: 'qcow2' },
    boot: 'defined',
  });
  instanceId = document.instanceId;
});
after(async () => {
  if (instanceId !== undefined) await up.json(['delete', instanceId]);
  await connection.close();
  await up.stop();
});

test('histories are kept for 30 days, and operators’ search attributes are there', async () => {
  const { config } = await connection.workflowService.describeNamespace({ namespace: 'default' });
  assert.equal(Number(config?.workflowExecutionRetentionTtl?.seconds), 30 * 86_400);
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'default' });
  for (const name of searchAttributeNames) assert.ok(customAttributes?.[name] !== undefined, name);
});

test('an instance is found by its host, name, image and phase', async () => {
  const { searchAttributes } = await client.workflow.getHandle(instanceWorkflowId(instanceId)).describe();
  assert.deepEqual(searchAttributes, {
    ...searchAttributes,
    EverbootHost: [up.host],
    EverbootName: ['web-1'],
    EverbootPhase: ['Ready'],
    EverbootImage: ['image.qcow2'],
  });
});

test('every activity carries a summary that a person understands', async () => {
  const { events } = await client.workflow.getHandle(instanceWorkflowId(instanceId)).fetchHistory();
  const summaries = new Map<string, string>();
  for (const { activityTaskScheduledEventAttributes: scheduled, userMetadata } of events ?? []) {
    if (!scheduled) continue;
    const summary = userMetadata?.summary;
    assert.ok(summary, `${scheduled.activityType?.name} has a summary`);
    summaries.set(scheduled.activityType?.name ?? '', String(defaultPayloadConverter.fromPayload(summary)));
  }
  assert.match(summaries.get('createRootDisk') ?? '', /^root disk: qcow2 overlay on [0-9a-f]{8}…, 1 GiB$/);
  assert.equal(summaries.get('createSwapDisk'), 'swap disk: 16 MiB, qcow2');
  assert.match(summaries.get('downloadImage') ?? '', /^root image: fetch image\.qcow2 \(qcow2, .* (KiB|MiB)\)$/);
});

test('the current details are a table of the steps', async () => {
  const handle = client.workflow.getHandle(instanceWorkflowId(instanceId));
  const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  assert.match(currentDetails, new RegExp(`^\\*\\*create on ${up.host}: Ready\\*\\*`));
  assert.match(currentDetails, /\| root disk: qcow2 overlay on .* \| done, \d+\.\d\d s \|/);
});

test('a failure reads as a sentence with its remedy', async () => {
  const id = crypto.randomUUID();
  await up.json(['create', '-f', '-'], {
    id,
    name: 'gone',
    flavor: 'm1.tiny',
    image: { file: `${up.folder}/gone.raw`, digest: `sha256:${'0'.repeat(64)}`, format: 'raw' },
  });
  const { events } = await client.workflow.getHandle(instanceWorkflowId(id)).fetchHistory();
  const failure = events?.at(-1)?.workflowExecutionFailedEventAttributes?.failure;
  assert.equal(failure?.applicationFailureInfo?.type, 'ImageNotFound');
  assert.match(failure?.message ?? '', /gone\.raw.*\. .*\.$/);
});
