import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ApplicationFailure,
  CancelledFailure,
  ServiceError,
  TerminatedFailure,
  WorkflowFailedError,
  type WorkflowHandle,
} from '@temporalio/client';
import { NamespaceNotFoundError } from '@temporalio/common';
import { startWorkflow } from '../../../client/temporal/workflow-calls.ts';
import { type CreateInstanceInput, cleanupWorkflowId, instanceWorkflowId } from '../../../domain/operations.ts';
import { parseSpec } from '../../../domain/parse-spec.ts';
import type { Procedure } from './procedures.ts';
import type { Stage } from './stage.ts';

/** The configuration of a host whose disks are like that. */
export function tomlOf({ disks }: Procedure): string {
  return disks === 'raw' ? '[libvirt]\nuse_cow_images = false\n' : '';
}

/** A request with every kind of disk in it, all of them small. */
export function inputFor(
  { image, kernel }: Stage,
  { boot, kernel: withKernel }: Procedure,
  host: string,
): CreateInstanceInput {
  const { spec } = parseSpec({
    id: randomUUID(),
    name: 'test',
    flavor: { vcpus: 1, memoryMb: 64, rootGb: 1, ephemeralGb: 1, swapMb: 16 },
    image: { file: image.path, digest: image.digest, format: 'qcow2' },
    ...(withKernel ? { kernel: { file: kernel.path, digest: kernel.digest, format: 'raw' } } : {}),
    boot,
  });
  if (typeof spec.flavor === 'string') throw new Error('tests give their flavors inline');
  const flavor = { name: 'inline', ...spec.flavor };
  return { operationId: randomUUID(), host, spec: { ...spec, secrets: {} }, flavor, specDigest: '0'.repeat(64) };
}

export async function startCreate({ client, taskQueue }: Stage, input: CreateInstanceInput): Promise<WorkflowHandle> {
  const { operationId, host, specDigest, spec } = input;
  const start = () =>
    startWorkflow(client, 'createInstance', input, {
      taskQueue,
      workflowId: instanceWorkflowId(spec.id),
      memo: { operation: 'create', operationId, host, specDigest, name: spec.name },
    });
  for (let left = 20; ; left -= 1) {
    try {
      return await start();
    } catch (error) {
      // A server whose database is busy may not find the namespace for a moment.
      if (!(error instanceof NamespaceNotFoundError) || left === 0) throw error;
      await sleep(500);
    }
  }
}

export async function startDelete(
  { client, taskQueue }: Stage,
  { host, spec }: CreateInstanceInput,
): Promise<WorkflowHandle> {
  const order = { operationId: randomUUID(), host, instanceId: spec.id };
  const workflowId = instanceWorkflowId(spec.id);
  return await startWorkflow(client, 'deleteInstance', order, { taskQueue, workflowId });
}

/** Starts the operation that gets the fault. What it needs to be there is made before it, undisturbed. */
export async function begin(stage: Stage, { kind }: Procedure, input: CreateInstanceInput): Promise<WorkflowHandle> {
  const created = await startCreate(stage, input);
  if (kind === 'create' || kind === 'undo') return created;
  await created.result();
  if (kind === 'delete') return await startDelete(stage, input);
  // What the newest run made well is nobody's orphan, so that one is a deletion, which does not get to any host.
  await (await startDelete(stage, { ...input, host: `no-${input.host}` })).terminate('by a test');
  const { host, operationId, spec } = input;
  const order = { host, instanceId: spec.id, operationId, name: spec.name };
  const { client, taskQueue } = stage;
  return await startWorkflow(client, 'cleanUpHost', order, { taskQueue, workflowId: cleanupWorkflowId(order) });
}

/** How an operation ended. */
export type End =
  | { readonly kind: 'done'; readonly result: unknown }
  | { readonly kind: 'failed' | 'cancelled' | 'terminated'; readonly code?: string; readonly step?: string };

export async function endOf(handle: WorkflowHandle): Promise<End> {
  try {
    return { kind: 'done', result: await handle.result() };
  } catch (error) {
    // Temporal may be away just now.
    if (error instanceof ServiceError) return await endOf(handle);
    if (!(error instanceof WorkflowFailedError)) throw error;
    const { cause } = error;
    if (cause instanceof CancelledFailure) return { kind: 'cancelled' };
    if (cause instanceof TerminatedFailure) return { kind: 'terminated' };
    assert.ok(cause instanceof ApplicationFailure, String(cause));
    const [report] = (cause.details ?? []) as { step?: string }[];
    return { kind: 'failed', code: cause.type ?? '', step: report?.step ?? '' };
  }
}
