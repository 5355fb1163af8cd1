import { randomUUID } from 'node:crypto';
import { EverbootFailure } from '../domain/failures.ts';
import type { DeleteInstanceInput, DeleteInstanceResult, OperationMemo } from '../domain/operations.ts';
import { askHosts } from './ask-hosts.ts';
import { stop } from './cancel-operation.ts';
import type { ClientContext } from './client-context.ts';
import { deletionFailure } from './deletion-failure.ts';
import { checkSomebodyPolls, pollingHosts } from './hosts.ts';
import { checkInstanceId } from './instance-id.ts';
import { type DescribedRun, findRun } from './operation-run.ts';
import { type WaitOptions, waitForOutcome } from './outcome.ts';
import { startOperation } from './start-operation.ts';

/** How often a deletion is tried when other operations on the same id begin in between. */
const maxAttempts = 5;

export interface DeleteOptions extends WaitOptions {
  /** Where the instance is; only needed where Temporal has forgotten it and several hosts poll. */
  readonly host?: string;
}

/**
 * Deletes an instance and waits until it is gone. One that is being created is cancelled first; one that is being deleted
 * is waited for; one that is not there counts as deleted.
 *
 * Throws HostUnreachable, InstanceNotFound (its directory on the host is somebody else’s), TemporalUnreachable.
 */
export async function deleteInstance(
  context: ClientContext,
  instanceId: string,
  options: DeleteOptions = {},
): Promise<DeleteInstanceResult> {
  checkInstanceId(instanceId);
  for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
    const last = await findRun(context, instanceId);
    if (last?.status === 'running' && last.memo.operation === 'create') {
      await stop(context, last, options);
      continue;
    }
    const runId =
      last?.status === 'running' ? last.runId : await startDeletion(context, instanceId, last, options.host);
    if (runId === null) continue;
    const { result, failure } = await waitForOutcome(context, { instanceId, runId }, options);
    if (failure === undefined) return result as DeleteInstanceResult;
    throw deletionFailure(failure);
  }
  throw new EverbootFailure(
    'InstanceBusy',
    `other operations on ${instanceId} kept beginning while it was to be deleted`,
  );
}

/** Starts a deletion and returns its run’s id; null: another operation has begun. */
export async function startDeletion(
  context: ClientContext,
  instanceId: string,
  last: DescribedRun | null,
  namedHost: string | undefined,
): Promise<string | null> {
  await checkSomebodyPolls(context);
  const host = namedHost ?? (last?.memo.host || (await hostWith(context, instanceId)));
  const operationId = randomUUID();
  const input: DeleteInstanceInput = {
    ...{ operationId, host, instanceId },
    hostUnreachableAfterMs: context.hostUnreachableAfterMs,
  };
  const name = last?.memo.name;
  const memo: OperationMemo = { operation: 'delete', operationId, host, ...(name === undefined ? {} : { name }) };
  return await startOperation(context, {
    ...{ instanceId, workflowType: 'deleteInstance', input, memo, phase: 'Deleting' },
    ...(typeof last?.image === 'string' ? { image: last.image } : {}),
    summary: `delete ${name ?? instanceId} on ${host}`,
    details: `- **id**: ${instanceId}`,
  });
}

/** The host that has a record of the instance. Where none has, any of them may find that there is nothing to delete. */
async function hostWith(context: ClientContext, instanceId: string): Promise<string> {
  const record = await askHosts(context, instanceId, undefined);
  const host = record?.host ?? (await pollingHosts(context))[0];
  if (host !== undefined) return host;
  throw new EverbootFailure('HostUnreachable', 'no host asks for work', { remedy: 'Name the host with --host.' });
}
