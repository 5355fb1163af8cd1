import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type Connection, isGrpcServiceError } from '@temporalio/client';
import { GracefulShutdownPeriodExpiredError, type NativeConnection, Worker } from '@temporalio/worker';
import { failureInterceptor } from '../activities/failure-interceptor.ts';
import type { Host } from '../activities/host.ts';
import { activitiesOn } from '../activities/index.ts';
import type { Configuration } from '../domain/configuration.ts';
import { EverbootFailure } from '../domain/failures.ts';
import type { GlanceCredentials } from '../domain/glance-credentials.ts';
import { hostPaths } from '../domain/host-paths.ts';
import { hostTaskQueue, type Lane, workflowTaskQueue } from '../domain/task-queues.ts';
import { rateLimit } from '../hypervisor/download/rate-limit.ts';
import { prepareFolders } from '../hypervisor/image-cache/prepare-folders.ts';
import { glanceTokens } from '../hypervisor/keystone/glance-tokens.ts';
import { log } from './log.ts';
import { runningSteps } from './running-steps.ts';
import { workflowBundle } from './workflow-bundle.ts';

/** Cancels, undos and first steps must never wait for a slot. */
const lightSlots = 200;

/** Long enough for a step that is nearly done, short enough for whoever waits; then steps are told to stop. */
const shutdownGraceMs = 3000;

/**
 * How long a drain may take in all: a program that must not be ended in the middle is waited for until then. A service
 * manager has to give more than this before it kills, see deploy/everboot-worker.service.
 */
export const shutdownForceMs = 30_000;

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
  /**
   * Takes no new work, gives the running steps a moment to end, has the others stop, and settles with `ended`. Throws
   * WorkerStopping when a step has not stopped within the time.
   */
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
  const shutdown = { shutdownGraceTime: shutdownGraceMs, shutdownForceTime: shutdownForceMs };
  const shared = { connection, namespace, identity, ...shutdown } as const;

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
  const ended = Promise.all(workers.map((worker) => worker.run())).then(
    () => undefined,
    (error: unknown) => {
      throw error instanceof GracefulShutdownPeriodExpiredError ? leftBehind(running.list()) : error;
    },
  );
  return {
    identity,
    ended,
    async shutdown() {
      const steps = running.list();
      const seconds = { graceSeconds: shutdownGraceMs / 1000, atMostSeconds: shutdownForceMs / 1000 };
      log.info({ steps, ...seconds }, `told to stop: takes no new work, waits for ${steps.length} running steps`);
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
      await ended;
      log.info('stopped: what was not finished is for the next worker');
    },
  };
}

function leftBehind(steps: readonly string[]): EverbootFailure {
  const found = `not stopped within ${shutdownForceMs / 1000} s: ${steps.join(', ')}`;
  return new EverbootFailure('WorkerStopping', found.slice(0, 1000), {
    remedy: 'Nothing: the next worker takes them up when their heartbeats are missed and their locks are free.',
  });
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
