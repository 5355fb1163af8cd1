import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type Connection } from '@temporalio/client';
import { type NativeConnection, Worker } from '@temporalio/worker';
import { failureInterceptor } from '../activities/failure-interceptor.ts';
import type { Host } from '../activities/host.ts';
import { activitiesOn } from '../activities/index.ts';
import type { Configuration } from '../domain/configuration.ts';
import type { GlanceCredentials } from '../domain/glance-credentials.ts';
import { hostPaths } from '../domain/host-paths.ts';
import { hostTaskQueue, type Lane, workflowTaskQueue } from '../domain/task-queues.ts';
import { rateLimit } from '../hypervisor/download/rate-limit.ts';
import { prepareFolders } from '../hypervisor/image-cache/prepare-folders.ts';
import { glanceTokens } from '../hypervisor/keystone/glance-tokens.ts';
import { workflowBundle } from './workflow-bundle.ts';

/** Cancels, undos and first steps must never wait for a slot. */
const lightSlots = 200;

/** Long enough for a step that is nearly done, short enough for a service manager: then steps are told to stop. */
const shutdownGraceTime = '3 seconds';
const shutdownForceTime = '30 seconds';

export interface HostWorkerOptions {
  readonly configuration: Configuration;
  /** Null: Glance is asked without a token. */
  readonly credentials: GlanceCredentials | null;
  readonly stateDirectory: string;
  readonly connection: NativeConnection;
  readonly namespace: string;
  /** See `Host`; absent: the default. */
  readonly tendGraceMs?: number;
}

export interface HostWorker {
  /** How this process is known in Temporal: `everboot/<host>/<pid>`. */
  readonly identity: string;
  /** Settles when every worker has drained; rejects when one of them broke. */
  readonly ended: Promise<void>;
  /** Takes no new work, lets the running steps stop, and settles with `ended`. */
  shutdown(): Promise<void>;
}

/**
 * Starts this host’s workers: its three lanes of steps, and the shared queue of workflow tasks. One process is all that
 * a hypervisor needs.
 */
export async function startHostWorker(options: HostWorkerOptions): Promise<HostWorker> {
  const { configuration, credentials, stateDirectory, connection, namespace, tendGraceMs } = options;
  const { name, instancesPath, maxConcurrentDownloads, maxConcurrentDiskOps } = configuration.host;
  const identity = `everboot/${name}/${process.pid}`;
  const paths = hostPaths(instancesPath, configuration.imageCache.subdirectoryName);
  await prepareFolders(paths);
  const tokens = credentials === null ? {} : { tokens: glanceTokens(credentials, configuration.glance) };
  const { maxDownloadBytesPerSecond } = configuration.host;
  const limits = maxDownloadBytesPerSecond === null ? {} : { rateLimit: rateLimit(maxDownloadBytesPerSecond) };
  const tending = tendGraceMs === undefined ? {} : { tendGraceMs };
  const host: Host = { configuration, paths, stateDirectory, ...tokens, ...limits, ...tending };
  const shared = { connection, namespace, identity, shutdownGraceTime, shutdownForceTime } as const;

  const slots: Readonly<Record<Lane, number>> = {
    light: lightSlots,
    fetch: maxConcurrentDownloads,
    disk: maxConcurrentDiskOps,
  };
  const failures = failureInterceptor(patience(configuration));
  const lanes = (Object.keys(slots) as Lane[]).map((lane) =>
    Worker.create({
      ...shared,
      taskQueue: hostTaskQueue(name, lane),
      activities: { ...activitiesOn(host) },
      maxConcurrentActivityTaskExecutions: slots[lane],
      // Progress in the terminal is a second old at most.
      maxHeartbeatThrottleInterval: '1 second',
      interceptors: { activity: [(context) => ({ inbound: failures(context) })] },
    }),
  );
  const workflows = Worker.create({
    ...shared,
    taskQueue: workflowTaskQueue,
    workflowBundle: await workflowBundle(stateDirectory),
  });
  const workers = await Promise.all([workflows, ...lanes]);
  const ended = Promise.all(workers.map((worker) => worker.run())).then(() => undefined);
  return {
    identity,
    ended,
    async shutdown() {
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
      await ended;
    },
  };
}

/** How long a step of this host keeps trying in the face of failures that may pass. */
function patience({ glance, libvirt }: Configuration) {
  const fetchMs = glance.imageFetchTimeout * 1000;
  return {
    GlanceUnavailable: fetchMs,
    SourceUnreachable: fetchMs,
    LibvirtUnavailable: libvirt.unavailableTimeout * 1000,
    HostIoError: 10 * 60_000,
    StorageUnavailable: 10 * 60_000,
    ProgramTimedOut: 60 * 60_000,
  };
}

/** Waits until Temporal has seen this worker ask for work, so that "ready" means that a boot would be taken up. */
export async function untilPolling(
  connection: Connection,
  namespace: string,
  host: string,
  identity: string,
): Promise<void> {
  const client = new Client({ connection, namespace });
  const queues = [
    { name: workflowTaskQueue, taskQueueType: 1 },
    { name: hostTaskQueue(host, 'light'), taskQueueType: 2 },
  ];
  const deadline = Date.now() + 15_000;
  for (const { name, taskQueueType } of queues) {
    while (Date.now() < deadline) {
      const { pollers } = await client.workflowService.describeTaskQueue({
        namespace,
        taskQueue: { name },
        taskQueueType,
      });
      if (pollers?.some((poller) => poller.identity === identity)) break;
      await sleep(50);
    }
  }
}
