import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Client, Connection } from '@temporalio/client';
import type { Configuration } from '../../domain/configuration.ts';
import { searchAttributeNames } from '../../domain/operations.ts';
import { ensureCacheSchedules } from '../../workers/cache-schedules.ts';
import { readConfiguration } from '../../workers/configuration.ts';
import { startTemporalServer, type TestTemporalServer } from '../fixtures/temporal-server.ts';

let server: TestTemporalServer;
let connection: Connection;
let client: Client;
before(async () => {
  server = await startTemporalServer();
  connection = await Connection.connect({ address: server.address });
  client = new Client({ connection });
  const present = await connection.operatorService.listSearchAttributes({ namespace: 'default' });
  const missing = searchAttributeNames.filter((name) => !Object.hasOwn(present.customAttributes ?? {}, name));
  const keyword = 2;
  const searchAttributes = Object.fromEntries(missing.map((name) => [name, keyword]));
  if (missing.length > 0)
    await connection.operatorService.addSearchAttributes({ namespace: 'default', searchAttributes });
});
after(async () => {
  await connection.close();
  await server.stop();
});

async function configured(name: string, imageCache = ''): Promise<Configuration> {
  return await readConfiguration({ text: `[image_cache]\n${imageCache}`, environment: { EVERBOOT_HOST_NAME: name } });
}

async function described(what: 'sweep' | 'scrub', host: string) {
  return await client.schedule.getHandle(`everboot-cache-${what}/${host}`).describe();
}

function hostName(t: { after: (end: () => Promise<unknown>) => void }): string {
  const name = `schedules-${randomUUID().slice(0, 8)}`;
  t.after(() =>
    Promise.all(
      (['sweep', 'scrub'] as const).map((what) => client.schedule.getHandle(`everboot-cache-${what}/${name}`).delete()),
    ),
  );
  return name;
}

test('a host gets a schedule for its sweep and one for its scrub, of its own workflows and times', async (t) => {
  const name = hostName(t);
  await ensureCacheSchedules(client, await configured(name, 'manager_interval = 600'));
  const [sweep, scrub] = await Promise.all([described('sweep', name), described('scrub', name)]);
  assert.equal(sweep.spec.intervals?.[0]?.every, 600_000);
  assert.equal(scrub.spec.intervals?.[0]?.every, 86_400_000);
  assert.equal(sweep.policies.overlap, 'SKIP');
  for (const [{ action }, type] of [[sweep, 'sweepCache'] as const, [scrub, 'scrubCache'] as const]) {
    assert.ok(action.type === 'startWorkflow');
    assert.equal(action.workflowType, type);
    assert.deepEqual(
      (action.args ?? []).map((input) => (input as { host: string }).host),
      [name],
    );
  }
});

test('a schedule keeps what an operator made of it, and follows an interval that changes in the configuration', async (t) => {
  const name = hostName(t);
  await ensureCacheSchedules(client, await configured(name));
  const handle = client.schedule.getHandle(`everboot-cache-sweep/${name}`);
  await handle.pause('maintenance');
  await handle.update((before) => ({ ...before, spec: { intervals: [{ every: 1_000_000 }] } }));

  await ensureCacheSchedules(client, await configured(name));
  const kept = await described('sweep', name);
  assert.equal(kept.spec.intervals?.[0]?.every, 1_000_000);

  await ensureCacheSchedules(client, await configured(name, 'manager_interval = 900'));
  const followed = await described('sweep', name);
  assert.equal(followed.spec.intervals?.[0]?.every, 900_000);
  assert.equal(followed.state.paused, true);
});
