import { mkdtemp, rm } from 'node:fs/promises';
import { NativeConnection, Worker } from '@temporalio/worker';
import { activitiesOn } from '../../../activities/index.ts';
import { hostPaths } from '../../../domain/host-paths.ts';
import { hostTaskQueue, type Lane } from '../../../domain/task-queues.ts';
import { prepareFolders } from '../../../hypervisor/host/prepare-host.ts';
import { failureInterceptor } from '../../../workers/failure-interceptor.ts';
import { type Injector, testConfiguration } from '../../fixtures/test-host.ts';

type AnyActivity = (input: never) => Promise<unknown>;

/** A host beside the first, which can go away and come back. Its workflow tasks are the first one's. */
export interface SecondHost {
  readonly name: string;
  readonly folder: string;
  inject: Injector | undefined;
  /** From now on it takes steps. */
  come(): Promise<void>;
  /** From now on it takes none. */
  leave(): Promise<void>;
  stop(): Promise<void>;
}

const lanes: readonly Lane[] = ['light', 'fetch', 'disk'];

/** Starts a host that is not there yet, and that may read images in such a folder. */
export async function startSecondHost(address: string, imageRoot: string): Promise<SecondHost> {
  const folder = await mkdtemp('/var/tmp/everboot-test-second-');
  const name = `second-${crypto.randomUUID().slice(0, 8)}`;
  const configuration = await testConfiguration(folder, name, '', [imageRoot]);
  const paths = hostPaths(configuration.host.instancesPath, configuration.imageCache.subdirectoryName);
  await prepareFolders(paths);
  const connection = await NativeConnection.connect({ address });
  let workers: { readonly all: readonly Worker[]; readonly ended: Promise<unknown> } | undefined;

  const activities = Object.fromEntries(
    Object.entries(activitiesOn({ configuration, paths, stateDirectory: folder })).map(([step, activity]) => [
      step,
      async (input: never) => {
        const run = (): Promise<unknown> => (activity as AnyActivity)(input);
        return await (host.inject === undefined ? run() : host.inject(step as Parameters<Injector>[0], run));
      },
    ]),
  );
  const inbound = failureInterceptor({});
  const host: SecondHost = {
    ...{ name, folder },
    inject: undefined,
    async come() {
      if (workers !== undefined) return;
      const interceptors = { activity: [(context: Parameters<typeof inbound>[0]) => ({ inbound: inbound(context) })] };
      const made = lanes.map((lane) =>
        Worker.create({ connection, taskQueue: hostTaskQueue(name, lane), activities, interceptors }),
      );
      const all = await Promise.all(made);
      workers = { all, ended: Promise.all(all.map((worker) => worker.run())) };
    },
    async leave() {
      for (const worker of workers?.all ?? []) worker.shutdown();
      await workers?.ended;
      workers = undefined;
    },
    async stop() {
      await host.leave();
      await connection.close();
      await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
    },
  };
  return host;
}
