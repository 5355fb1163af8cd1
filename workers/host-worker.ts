import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type Connection, isGrpcServiceError } from '@temporalio/client';
import { type NativeConnection, Worker } from '@temporalio/worker';
import type { Host } from '../activities/context/host.ts';
import { activitiesOn } from '../activities/index.ts';
import type { Configuration } from '../domain/configuration.ts';
import type { GlanceCredentials } from '../domain/glance-credentials.ts';
import { hostPaths } from '../domain/host-paths.ts';
import { hostTaskQueue, type Lane, workflowTaskQueue } from '../domain/task-queues.ts';
import { prepareHost } from '../hypervisor/host/prepare-host.ts';
import { rateLimit } from '../hypervisor/http/rate-limit.ts';
import { glanceTokens } from '../hypervisor/keystone/glance-tokens.ts';
import { type Draining, drainOptions, runWorkers } from './drain-workers.ts';
import { failureInterceptor } from './failure-interceptor.ts';
import { runningSteps } from './running-steps.ts';
import { workflowBundle } from './workflow-bundle.ts';

/** Cancels, undos and first steps must never wait for a slot. */
const lightSlots = 200;

export interface HostWorkerOptions {
  readonly configuration: Configuration;
  /** Null: Glance is asked without a token. */
  readonly credentials: GlanceCredentials | null;
  readonly stateDirectory: string;
  readonly connection: NativeConnection;
  readonly namespace: string;
  /** See `Host`; absent: the default. */
  readonly reconcileGraceMs?: number;
}

export interface HostWorker extends Draining {
  /** How this process is known in Temporal: `everboot/<host>/<pid>`. */
  readonly identity: string;
}

/**
 * Starts this host’s workers: its three lanes of steps, and the shared queue of workflow tasks. One process is all that
 * a hypervisor needs.
 */
export async function startHostWorker(options: HostWorkerOptions): Promise<HostWorker> {
  const { configuration, credentials, stateDirectory, connection, namespace, reconcileGraceMs } = options;
  const { name, instancesPath, maxConcurrentDownloads, maxConcurrentDiskOps } = configuration.host;
  const identity = `everboot/${name}/${process.pid}`;
  const paths = hostPaths(instancesPath, configuration.imageCache.subdirectoryName);
  await prepareHost(paths);
  const tokens = credentials === null ? {} : { tokens: glanceTokens(credentials, configuration.glance) };
  const { maxDownloadBytesPerSecond } = configuration.host;
  const limits = maxDownloadBytesPerSecond === null ? {} : { rateLimit: rateLimit(maxDownloadBytesPerSecond) };
  const reconciliation = reconcileGraceMs === undefined ? {} : { reconcileGraceMs };
  const host: Host = { configuration, paths, stateDirectory, ...tokens, ...limits, ...reconciliation };
  const shared = { connection, namespace, identity, ...drainOptions } as const;

  const slots: Readonly<Record<Lane, number>> = {
    light: lightSlots,
    fetch: maxConcurrentDownloads,
    disk: maxConcurrentDiskOps,
  };
  const failures = failureInterceptor(patience(configuration));
  const running = runningSteps();
  const lanes = (Object.keys(slots) as Lane[]).map((lane) =>
    Worker.create({
      ...shared,
      taskQueue: hostTaskQueue(name, lane),
      activities: { ...activitiesOn(host) },
      maxConcurrentActivityTaskExecutions: slots[lane],
      // Progress in the terminal is a second old at most.
      maxHeartbeatThrottleInterval: '1 second',
      interceptors: {
        activity: [
          (context) => ({ inbound: running.interceptor(context) }),
          (context) => ({ inbound: failures(context) }),
        ],
      },
    }),
  );
  const workflows = Worker.create({
    ...shared,
    taskQueue: workflowTaskQueue,
    workflowBundle: await workflowBundle(stateDirectory),
  });
  const workers = await Promise.all([workflows, ...lanes]);
  return { identity, ...runWorkers(workers, running) };
}

/** How long a step of this host is retried after failures that may pass. */
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

/** The server may be restarted just then; of the codes of gRPC, these say that it did not answer. */
const noAnswer = new Set([4, 14]);
const pollingWaitMs = 15_000;

/**
 * Waits until Temporal has seen this worker ask for work, so that "ready" means that a boot would be taken up. A server
 * that is away is waited for.
 */
export async function untilPolling(
  connection: Connection,
  namespace: string,
  host: string,
  identity: string,
  signal?: AbortSignal,
): Promise<void> {
  const { workflowService } = new Client({ connection, namespace });
  const queues = [
    { name: workflowTaskQueue, taskQueueType: 1 },
    { name: hostTaskQueue(host, 'light'), taskQueueType: 2 },
  ];
  let deadline = Date.now() + pollingWaitMs;
  for (const { name, taskQueueType } of queues) {
    while (Date.now() < deadline && signal?.aborted !== true) {
      try {
        const { pollers } = await connection.withDeadline(Date.now() + pollingWaitMs, () =>
          workflowService.describeTaskQueue({ namespace, taskQueue: { name }, taskQueueType }),
        );
        if (pollers?.some((poller) => poller.identity === identity)) break;
      } catch (error) {
        if (!isGrpcServiceError(error) || !noAnswer.has(error.code)) throw error;
        deadline = Date.now() + pollingWaitMs;
      }
      await sleep(50);
    }
  }
}
