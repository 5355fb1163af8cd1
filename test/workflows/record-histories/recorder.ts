import { mkdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { queryWorkflow, startWorkflow } from '../../../client/temporal/workflow-calls.ts';
import { EverbootFailure } from '../../../domain/failures.ts';
import type { HostActivities } from '../../../domain/host-activities.ts';
import { type CreateInstanceInput, instanceWorkflowId, type Phase } from '../../../domain/operations.ts';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { findTemporalCli } from '../../../workers/temporal-server.ts';
import { makeQcow2Image, type TestImage } from '../../fixtures/images.ts';
import { stateDirectory } from '../../fixtures/state-directory.ts';
import { startTestHost, type TestHost } from '../../fixtures/test-host.ts';
import { type SecondHost, startSecondHost } from './second-host.ts';
import { anonymous } from './written-history.ts';

/** The settings of the first host. */
export type HostOptions = NonNullable<Parameters<typeof startTestHost>[0]>;

type ChosenInput = Partial<Pick<CreateInstanceInput, 'host' | 'hosts' | 'hostUnreachableAfterMs'>>;

/** The maker of the runs that are recorded. */
export interface Recorder {
  readonly host: TestHost;
  /** Another host, which is not there until it comes. */
  readonly second: SecondHost;
  readonly image: TestImage;
  /** A small qcow2 instance with every disk. */
  readonly spec: Readonly<Record<string, unknown>>;
  /** Starts a boot of the spec with something changed in it. */
  create(more?: Record<string, unknown>, input?: ChosenInput): Promise<Started>;
  /** Starts a boot of another spec. */
  createAs(spec: Record<string, unknown>, input?: ChosenInput): Promise<Started>;
  /** Starts a deletion on a host. */
  remove(id: string, on?: { readonly host: string; readonly hostUnreachableAfterMs: number }): Promise<WorkflowHandle>;
}

export interface Started {
  readonly id: string;
  readonly handle: WorkflowHandle;
}

/** Starts two hosts on a Temporal server, and gives what is made with them, and what ends them. */
export async function startRecorder(
  address: string,
  options: HostOptions,
): Promise<{ readonly recorder: Recorder; readonly stop: () => Promise<void> }> {
  const host = await startTestHost(options);
  const second = await startSecondHost(address, host.folder);
  const image = await makeQcow2Image(host.folder);
  const kernel = await makeQcow2Image(host.folder, 'kernel.img', 8);
  const spec = {
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 1, swapMb: 16 },
    image: { file: image.path, digest: image.digest, format: 'qcow2' },
    kernel: { file: kernel.path, digest: kernel.digest, format: 'raw' },
    boot: 'defined',
  };
  const made: string[] = [];
  const recorder: Recorder = {
    ...{ host, second, image, spec },
    async create(more = {}, input = {}) {
      return await recorder.createAs({ ...spec, ...more }, input);
    },
    async createAs(given, input = {}) {
      const { id } = (await host.create(given, input)).spec;
      made.push(id);
      return { id, handle: host.client.workflow.getHandle(instanceWorkflowId(id)) };
    },
    async remove(id, on = { host: host.name, hostUnreachableAfterMs: 300_000 }) {
      const order = { operationId: crypto.randomUUID(), instanceId: id, ...on };
      return await startWorkflow(host.client, 'deleteInstance', order, { workflowId: instanceWorkflowId(id) });
    },
  };
  const stop = async (): Promise<void> => {
    host.inject = undefined;
    second.inject = undefined;
    await second.come();
    for (const id of made) {
      for (const { name } of [host, second]) {
        const deletion = await recorder.remove(id, { host: name, hostUnreachableAfterMs: 300_000 });
        await deletion.result();
      }
    }
    await second.stop();
    await host.stop();
  };
  return { recorder, stop };
}

/** Injects a fault into one step of a host, until another one is injected. */
export function inject(
  host: Pick<TestHost, 'inject'>,
  step: keyof HostActivities,
  action: (run: () => Promise<unknown>) => Promise<unknown>,
): void {
  host.inject = async (name, run) => (name === step ? await action(run) : await run());
}

/** A failure that passes; until then the step is tried again in a moment. */
export function passing(): EverbootFailure {
  return new EverbootFailure('HostIoError', 'injected', { retryAfterMs: 500 });
}

/** Fails a step permanently until the fault is taken back. */
export function failFinally(host: Pick<TestHost, 'inject'>, step: keyof HostActivities): void {
  inject(host, step, () => Promise.reject(new EverbootFailure('InsufficientSpace', 'injected')));
}

/** Fails a step in passing, and settles when it has. */
export async function untilInjected(host: Pick<TestHost, 'inject'>, step: keyof HostActivities): Promise<void> {
  const injected = Promise.withResolvers<void>();
  inject(host, step, async () => {
    injected.resolve();
    throw passing();
  });
  await injected.promise;
}

export async function untilPhase({ handle }: Pick<Started, 'handle'>, phase: Phase): Promise<void> {
  for (;;) {
    const progress = await queryWorkflow(handle, 'progress');
    if (progress.phase === phase) return;
    await sleep(50);
  }
}

/** Writes a run's history, when it has ended, in the form in which Temporal's command line and its UI export it. */
export async function writeHistory(
  { host, second }: Recorder,
  { handle, path, address }: { readonly handle: WorkflowHandle; readonly path: string; readonly address: string },
): Promise<void> {
  await handle.result().catch(() => undefined);
  const temporal = (await findTemporalCli(stateDirectory(), process.env.PATH ?? '')) ?? 'temporal';
  const args = ['workflow', 'show', '--address', address, '-w', handle.workflowId, '-o', 'json'];
  const { stdout: history } = await runProgram(temporal, args, { timeoutMs: 30_000, maxOutputBytes: 2 ** 24 });
  const text = anonymous(history, {
    [host.folder]: '/var/lib/everboot',
    [second.folder]: '/var/lib/everboot-2',
    [`@${hostname()}`]: '@host-1',
    [host.name]: 'host-1',
    [second.name]: 'host-2',
  });
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, text);
}
