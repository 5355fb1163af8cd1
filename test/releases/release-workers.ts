import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { type HostPaths, hostPaths } from '../../domain/host-paths.ts';
import { hostTaskQueue, workflowTaskQueue } from '../../domain/task-queues.ts';
import { keepEvidence } from '../fixtures/evidence.ts';
import { plantBundle } from '../fixtures/test-bundle.ts';
import { type Release, thisCode } from './releases.ts';

const stepsOnly = new URL('./steps-only.ts', import.meta.url).pathname;
const pollsWithinMs = 60_000;

/** A hypervisor whose worker can be of any release: its folders and its name stay. */
export interface ReleaseHost {
  readonly name: string;
  readonly folder: string;
  readonly paths: HostPaths;
  /** Starts a worker of a release: for everything, or for the host's steps, or for workflows. */
  start(release: Release, part?: 'all' | 'steps' | 'workflows'): Promise<RunningWorker>;
  stop(): Promise<void>;
}

export interface RunningWorker {
  /** Ends it as a service manager does, and waits until it is gone. */
  end(): Promise<void>;
}

/** A host on a Temporal server, without a worker yet. */
export async function makeReleaseHost(address: string): Promise<ReleaseHost> {
  const folder = await mkdtemp('/var/tmp/everboot-test-');
  await chmod(folder, 0o711);
  const name = `test-${crypto.randomUUID().slice(0, 8)}`;
  const connection = await Connection.connect({ address });
  const client = new Client({ connection });
  const running = new Set<RunningWorker>();

  return {
    ...{ name, folder, paths: hostPaths(join(folder, 'instances'), '_base') },
    async start(release, part = 'all') {
      const state = join(folder, 'state', release.name.replaceAll(' ', '-'));
      await mkdir(state, { recursive: true });
      if (release === thisCode) await plantBundle(state);
      const host = part === 'workflows' ? `${name}-workflows` : name;
      const preload = part === 'steps' ? ['--import', stepsOnly] : [];
      const child = spawn(
        process.execPath,
        ['--disable-warning=ExperimentalWarning', ...preload, join(release.root, 'cli/everboot.ts'), 'worker'],
        { env: environmentOf(folder, { host, state, address }), stdio: ['ignore', 'ignore', 'pipe'] },
      );
      const said: string[] = [];
      child.stderr?.on('data', (piece) => said.push(String(piece)));
      const worker: RunningWorker = { end: () => end(child).finally(() => running.delete(worker)) };
      running.add(worker);
      const queues = [
        ...(part === 'workflows' ? [] : [{ name: hostTaskQueue(name, 'light'), type: 2 }]),
        ...(part === 'steps' ? [] : [{ name: workflowTaskQueue, type: 1 }]),
      ];
      for (const queue of queues) {
        await untilPolled(client, queue, `everboot/${host}/${child.pid}`).catch((error) => {
          throw new Error(`${error.message}; the worker of ${release.name} said: ${said.join('')}`);
        });
      }
      return worker;
    },
    async stop() {
      await Promise.all([...running].map((worker) => worker.end()));
      await connection.close();
      await keepEvidence(folder);
      await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
    },
  };
}

function environmentOf(
  folder: string,
  { host, state, address }: { readonly host: string; readonly state: string; readonly address: string },
): NodeJS.ProcessEnv {
  return {
    ...process.env,
    TEMPORAL_ADDRESS: address,
    EVERBOOT_CONFIG: '/dev/null',
    EVERBOOT_STATE_DIR: state,
    // Of a folder that goes with the release's.
    NODE_COMPILE_CACHE: join(state, 'compile-cache'),
    EVERBOOT_HOST_NAME: host,
    EVERBOOT_HOST_INSTANCES_PATH: join(folder, 'instances'),
    EVERBOOT_HOST_FILE_IMAGE_ROOTS: folder,
    EVERBOOT_HOST_RESERVED_DISK_MB: '16',
    EVERBOOT_HOST_VOLUME_SERVERS: '127.0.0.1',
    EVERBOOT_LIBVIRT_VIRT_TYPE: 'qemu',
  };
}

async function untilPolled(
  { workflowService }: Client,
  { name, type }: { readonly name: string; readonly type: number },
  identity: string,
): Promise<void> {
  const deadline = Date.now() + pollsWithinMs;
  const request = { namespace: 'default', taskQueue: { name }, taskQueueType: type };
  for (;;) {
    const { pollers } = await workflowService.describeTaskQueue(request);
    if (pollers?.some((poller) => poller.identity === identity)) return;
    if (Date.now() > deadline) throw new Error(`${identity} does not poll ${name}`);
    await sleep(100);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}
