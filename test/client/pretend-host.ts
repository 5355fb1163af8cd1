import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { connectClient, type EverbootClient } from '../../client/connect-client.ts';
import type { HostActivities } from '../../domain/host-activities.ts';
import type { InstanceRecord } from '../../domain/instance-record.ts';
import { hostTaskQueue, workflowTaskQueue } from '../../domain/task-queues.ts';
import { failureInterceptor } from '../../workers/failure-interceptor.ts';
import { startOwnTemporalServer, type TestTemporalServer } from '../fixtures/temporal-server.ts';
import { testBundle } from '../fixtures/test-bundle.ts';

type Step = keyof HostActivities;

// Steps fail here on purpose, and tests are read by their results.
Runtime.install({ logger: new DefaultLogger('ERROR') });

/** A server of its own, on which no worker polls but those of a test. */
export interface PretendCloud {
  readonly server: TestTemporalServer;
  readonly client: EverbootClient;
  readonly folder: string;
  addHost(name: string): Promise<PretendHost>;
  stop(): Promise<void>;
}

/** A real worker with the real workflows, whose steps keep records in memory and touch no machine. */
export interface PretendHost {
  readonly name: string;
  readonly records: Map<string, InstanceRecord>;
  /** Called before each step is done. */
  onStep: (step: Step) => Promise<void>;
  stop(): Promise<void>;
}

export async function startPretendCloud(): Promise<PretendCloud> {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-pretend-'));
  const server = await startOwnTemporalServer();
  const client = await connectClient({ address: server.address, namespace: 'default' });
  const hosts: PretendHost[] = [];
  return {
    ...{ server, client, folder },
    async addHost(name) {
      const host = await startPretendHost(name, server.address);
      hosts.push(host);
      while (!(await client.hosts()).includes(name)) await sleep(20);
      return host;
    },
    async stop() {
      for (const host of hosts) await host.stop();
      await client.close();
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startPretendHost(name: string, address: string): Promise<PretendHost> {
  const connection = await NativeConnection.connect({ address });
  const records = new Map<string, InstanceRecord>();
  const host: PretendHost = { name, records, onStep: async () => undefined, stop };
  const activities = Object.fromEntries(
    Object.entries(pretendSteps(name, records)).map(([step, run]) => [
      step,
      async (input: never) => {
        await host.onStep(step as Step);
        return await run(input);
      },
    ]),
  );
  const shared = { connection, identity: `everboot/${name}/${process.pid}`, shutdownGraceTime: 100 } as const;
  const inbound = failureInterceptor({});
  const workers = await Promise.all([
    Worker.create({ ...shared, taskQueue: workflowTaskQueue, workflowBundle: await testBundle('short') }),
    Worker.create({
      ...shared,
      taskQueue: hostTaskQueue(name, 'light'),
      activities,
      maxHeartbeatThrottleInterval: 100,
      interceptors: { activity: [(context) => ({ inbound: inbound(context) })] },
    }),
  ]);
  const running = Promise.all(workers.map((worker) => worker.run()));
  let stopped: Promise<void> | undefined;
  function stop(): Promise<void> {
    stopped ??= shutDown();
    return stopped;
  }
  async function shutDown(): Promise<void> {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
    await running;
    await connection.close();
  }
  return host;
}

/** Blocks a step, with its heart beating, until the operation is cancelled or `until` says that it may continue. */
export async function hold(until: () => boolean = () => false): Promise<void> {
  const { cancellationSignal } = Context.current();
  while (!until()) {
    cancellationSignal.throwIfAborted();
    Context.current().heartbeat({ doneBytes: 25, totalBytes: 100 });
    await sleep(20);
  }
}

/** Blocks a host in one of its steps: `reached` is when it is there, `release` lets it continue. */
export function holdAt(host: PretendHost, step: Step): { reached: Promise<void>; release: () => void } {
  const reached = Promise.withResolvers<void>();
  let isReleased = false;
  host.onStep = async (name) => {
    if (name !== step) return;
    reached.resolve();
    await hold(() => isReleased);
  };
  return {
    reached: reached.promise,
    release: () => {
      isReleased = true;
    },
  };
}

type PretendSteps = {
  [Name in Step]?: (input: Parameters<HostActivities[Name]>[0]) => ReturnType<HostActivities[Name]>;
};

function pretendSteps(host: string, records: Map<string, InstanceRecord>): PretendSteps {
  const nothing = { root: null, ephemerals: [], swap: null, config: null, bootFiles: [] };
  return {
    async planInstance({ claim, spec }) {
      const record = records.get(claim.instanceId);
      const plan = { claim, directory: `/pretend/${claim.instanceId}`, disks: nothing, bases: [] };
      if (record?.result !== undefined) return { plan: null, ready: record.result };
      return { plan: { ...plan, define: spec.boot !== 'disks', start: false }, ready: null };
    },
    async reserveInstance({ request: { claim, spec, specDigest } }) {
      const { id, name } = spec;
      const state = { state: 'building', cacheNames: [], createdAt: new Date().toISOString() } as const;
      records.set(id, { version: 1, claim, name, host, specDigest, ...state });
    },
    async defineDomain({ claim }) {
      return { domain: claim.instanceId };
    },
    async markReady({ claim, result }) {
      const record = records.get(claim.instanceId);
      if (record !== undefined) records.set(claim.instanceId, { ...record, state: 'ready', result });
    },
    async releaseInstance({ claim }) {
      records.delete(claim.instanceId);
    },
    async readInstance({ instanceId }) {
      return records.get(instanceId) ?? null;
    },
    async deleteFiles({ instanceId }) {
      records.delete(instanceId);
    },
    removeDomain: async () => undefined,
    deleteDomain: async () => undefined,
    pingHost: async () => undefined,
  };
}

/** A spec that needs nothing of a host. */
export function smallSpec(more: Record<string, unknown> = {}): Record<string, unknown> {
  const flavor = { vcpus: 1, memoryMb: 128, rootGb: 0, ephemeralGb: 0, swapMb: 0 };
  return { id: randomUUID(), name: 'web-1', boot: 'defined', flavor, ...more };
}
