import { type NativeConnection, Worker } from '@temporalio/worker';
import { activitiesOn } from '../../../activities/index.ts';
import { hostPaths } from '../../../domain/host-paths.ts';
import { hostTaskQueue, type Lane } from '../../../domain/task-queues.ts';
import { prepareHost } from '../../../hypervisor/host/prepare-host.ts';
import { failureInterceptor } from '../../../workers/failure-interceptor.ts';
import { testConfiguration } from '../../fixtures/test-host.ts';
import { type FaultOrder, injectFaults } from './inject-faults.ts';
import { openJournal } from './journal.ts';
import type { Step } from './procedures.ts';

/** All orders for a worker of a case, in this process or in one of its own. */
export interface HostOrder {
  readonly address: string;
  readonly name: string;
  /** The case's folder: its journal. */
  readonly folder: string;
  /** The folder that `instances` is in. */
  readonly filesFolder: string;
  readonly images: string;
  readonly toml: string;
  readonly injections: readonly FaultOrder[];
  /** True: the programs that its steps run are noted. */
  readonly watchesPrograms: boolean;
  readonly broken: Step | null;
}

export interface ServedHost {
  /** As SIGTERM does it: nothing new is taken, and what runs is asked to stop after a moment. */
  stop(): Promise<void>;
}

/** Serves the steps of one host; the workflows are done elsewhere. */
export async function serveHost(connection: NativeConnection, order: HostOrder): Promise<ServedHost> {
  const { name, folder, filesFolder, toml, images, injections, watchesPrograms, broken } = order;
  const configuration = await testConfiguration(filesFolder, name, toml, [images]);
  const { instancesPath } = configuration.host;
  const paths = hostPaths(instancesPath, configuration.imageCache.subdirectoryName);
  await prepareHost(paths);
  const host = { configuration, paths, stateDirectory: folder, reconcileGraceMs: 0 };
  const place = { folder, instancesPath, journal: openJournal(folder), broken, watchesPrograms };
  const inbound = failureInterceptor({});
  const lanes: Lane[] = ['light', 'fetch', 'disk'];
  const workers = await Promise.all(
    lanes.map((lane) =>
      Worker.create({
        connection,
        taskQueue: hostTaskQueue(name, lane),
        activities: injectFaults(activitiesOn(host), injections, place),
        maxConcurrentActivityTaskPolls: 2,
        maxHeartbeatThrottleInterval: '200 ms',
        shutdownGraceTime: '500 ms',
        // A zombie attempt never ends.
        shutdownForceTime: '5 seconds',
        interceptors: { activity: [(context) => ({ inbound: inbound(context) })] },
      }),
    ),
  );
  const ended = Promise.allSettled(workers.map((worker) => worker.run()));
  return {
    async stop() {
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
      await ended;
    },
  };
}
