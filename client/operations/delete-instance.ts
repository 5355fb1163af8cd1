import { randomUUID } from 'node:crypto';
import { EverbootFailure } from '../../domain/failures.ts';
import {
  cleanupWorkflowId,
  type DeleteInstanceInput,
  type DeleteInstanceResult,
  type OperationMemo,
} from '../../domain/operations.ts';
import { askEach } from '../hosts/ask-hosts.ts';
import { checkSomebodyPolls, somePollingHosts } from '../hosts/hosts.ts';
import { elsewhereRemedy, findKeptHost } from '../hosts/kept-host.ts';
import { checkInstanceId } from '../request/instance-id.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { deletionFailure } from '../temporal/operation-failure.ts';
import { type DescribedRun, describeRun, findRun, statusOf } from '../temporal/operation-run.ts';
import { type WaitOptions, waitForOutcome } from '../temporal/outcome.ts';
import { stop } from './cancel-operation.ts';
import { startOperation } from './start-operation.ts';

/** How often a deletion is tried when other operations on the same id begin in between. */
const maxAttempts = 5;

export interface DeleteOptions extends WaitOptions {
  /** Where the instance is; only needed where Temporal has forgotten it and several hosts poll. */
  readonly host?: string;
  /** Called when a running creation was cancelled first, and everything it made removed. */
  readonly onCreationCancelled?: () => void;
}

/**
 * Deletes an instance and waits until it is gone. One that is being created is cancelled first; one that is being
 * deleted is waited for; one that is not there counts as deleted, and so does one whose host was abandoned and removes
 * it when it is back.
 *
 * Throws HostUnreachable, InstanceExists (on another host than the one that is named, or perhaps there), NotManaged
 * (its directory or its domain on the host is not everboot’s), Terminated, TemporalUnreachable.
 */
export async function deleteInstance(
  context: ClientContext,
  instanceId: string,
  options: DeleteOptions = {},
): Promise<DeleteInstanceResult> {
  checkInstanceId(instanceId);
  for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
    const last = await findRun(context, instanceId);
    if (options.host !== undefined) await checkNotElsewhere(context, last, options.host);
    if (last?.status === 'running' && last.memo.operation === 'create') {
      await stop(context, last, options);
      if ((await findRun(context, instanceId, last.runId))?.status === 'cancelled') options.onCreationCancelled?.();
      continue;
    }
    const before = await waitingForItsHost(context, last);
    // What is left on another host than the one that is named is no answer for that one.
    if (before !== null && (options.host ?? before.cleanupPendingOn) === before.cleanupPendingOn) return before;
    const runId =
      last?.status === 'running' ? last.runId : await startDeletion(context, instanceId, last, options.host);
    if (runId === null) continue;
    const { result, failure } = await waitForOutcome(context, { instanceId, runId }, options);
    if (failure === undefined) return result as DeleteInstanceResult;
    throw deletionFailure(failure);
  }
  throw new EverbootFailure(
    'InstanceBusy',
    `other operations on ${instanceId} kept starting while it was to be deleted`,
  );
}

/** The result of a deletion that deferred its cleanup to its host, until that host is back. */
async function waitingForItsHost(
  context: ClientContext,
  last: DescribedRun | null,
): Promise<DeleteInstanceResult | null> {
  if (last?.status !== 'completed' || last.memo.operation !== 'delete') return null;
  const { instanceId } = last;
  const { result } = await waitForOutcome(context, last);
  const { cleanupPendingOn: host } = result as DeleteInstanceResult;
  if (host === undefined) return null;
  // Temporal forgets: a deferred cleanup that it does not know was closed long ago, perhaps because the machine was
  // scrapped.
  const pendingCleanup = await describeRun(context, cleanupWorkflowId({ host, instanceId, operationId: null }));
  const isBack = pendingCleanup !== null && statusOf(pendingCleanup.status.name) === 'completed';
  return isBack ? null : (result as DeleteInstanceResult);
}

/** Starts a deletion and returns its run’s id; null: another operation has started. */
export async function startDeletion(
  context: ClientContext,
  instanceId: string,
  last: DescribedRun | null,
  namedHost: string | undefined,
): Promise<string | null> {
  const known = namedHost ?? (last?.memo.host || undefined);
  if (known !== undefined) await checkSomebodyPolls(context);
  const host = known ?? (await hostWith(context, instanceId));
  const operationId = randomUUID();
  const input: DeleteInstanceInput = {
    operationId,
    host,
    instanceId,
    hostUnreachableAfterMs: context.hostUnreachableAfterMs,
  };
  const name = last?.memo.name;
  const memo: OperationMemo = { operation: 'delete', operationId, host, ...(name === undefined ? {} : { name }) };
  return await startOperation(context, {
    instanceId,
    workflowType: 'deleteInstance',
    input,
    memo,
    phase: 'Deleting',
    ...(typeof last?.image === 'string' ? { image: last.image } : {}),
    summary: `delete ${name ?? instanceId} on ${host}`,
    details: `- **id**: ${instanceId}`,
  });
}

/**
 * A deletion frees the id, so that it must not be done where the instance is not: there would come to be a second one.
 */
async function checkNotElsewhere(context: ClientContext, last: DescribedRun | null, namedHost: string): Promise<void> {
  if (last === null) return;
  const host = await findKeptHost(context, last);
  if (host === null || host === namedHost) return;
  const { instanceId } = last;
  throw new EverbootFailure('InstanceExists', `the instance ${instanceId} is on ${host}, not on ${namedHost}`, {
    remedy: elsewhereRemedy(instanceId, host),
  });
}

/** The host that has a record of the instance. Where none has, any of them may find that there is nothing to delete. */
async function hostWith(context: ClientContext, instanceId: string): Promise<string> {
  const hosts = await somePollingHosts(context);
  return (await askEach(context, instanceId, hosts))?.host ?? hosts[0];
}
