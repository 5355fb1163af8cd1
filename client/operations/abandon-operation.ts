import {
  type AbandonRequest,
  cleanupWorkflowId,
  type DeleteInstanceResult,
  type Phase,
} from '../../domain/operations.ts';
import { checkInstanceId } from '../request/instance-id.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { type FailureDocument, failureDocument } from '../temporal/failure-document.ts';
import { describeRun, findRun, type OperationRun, statusOf } from '../temporal/operation-run.ts';
import { failureCodeOf, type Outcome, type WaitOptions, waitForOutcome } from '../temporal/outcome.ts';
import { startDeletion } from './delete-instance.ts';
import { notParked, runningOperation, updateOperation } from './update-operation.ts';

export interface AbandonOptions extends WaitOptions {
  /**
   * True: the host never comes back, or must not. Nothing is asked of it any more, whatever the operation is at; should
   * it come back all the same, it removes what it has.
   */
  readonly hostGone?: boolean;
  /**
   * The host that is said to be gone: an operation that has moved to another one is not abandoned. Absent: whichever.
   */
  readonly host?: string;
  /** Called when the operation has accepted the update: from now on it ends whether or not anybody waits. */
  readonly onAccepted?: () => void;
}

export interface AbandonResult {
  readonly instanceId: string;
  readonly operation: 'create' | 'delete';
  readonly host: string;
  /** How the operation ended; one that was nearly done may have become `Ready` all the same. */
  readonly phase: Phase;
  /** The final failure of a creation. */
  readonly error?: FailureDocument;
  /** The host that may still have something of it, and removes that when it is back. Absent: nothing is left. */
  readonly cleanupPendingOn?: string;
}

/**
 * Abandons an operation and waits until it has ended: what a parked creation had made is undone; where the host is
 * gone, a creation or a deletion ends at once, and so does a deletion that has failed because nobody answered.
 *
 * Throws InstanceBusy (it is not parked, and its host not said to be gone; or it has just moved to another host),
 * OperationEnded, InstanceNotFound, HostUnreachable (no worker of any host polls), TemporalUnreachable.
 */
export async function abandonOperation(
  context: ClientContext,
  instanceId: string,
  { hostGone = false, host: saidGone, onAccepted, ...waiting }: AbandonOptions = {},
): Promise<AbandonResult> {
  if (hostGone) await continueDeleting(context, instanceId, saidGone);
  const run = await runningOperation(context, instanceId);
  if (!hostGone && run.phase !== 'NeedsOperator') throw notParked(run);
  const request: AbandonRequest = hostGone ? { hostGone, ...hostMeant(run, saidGone) } : {};
  await updateOperation(context, run, 'abandon', request);
  onAccepted?.();
  const outcome = await waitForOutcome(context, run, waiting);
  const { failure } = outcome;
  const ended = (await findRun(context, instanceId, run.runId)) ?? run;
  const { operation, host } = ended.memo;
  const cleanupPendingOn = hostGone ? await hostToCleanUp(context, ended, outcome) : null;
  return {
    instanceId,
    operation,
    host,
    phase: ended.phase,
    ...(failure === undefined ? {} : { error: failureDocument(failure) }),
    ...(cleanupPendingOn === null ? {} : { cleanupPendingOn }),
  };
}

/** Said with the request, since the operation may move to another host before it hears of it. */
function hostMeant({ memo }: OperationRun, saidGone: string | undefined): Pick<AbandonRequest, 'host'> {
  const host = saidGone ?? memo.host;
  return host === '' ? {} : { host };
}

/**
 * A deletion that found no host to do it left the instance as it was: it is started once more, to be abandoned. One
 * that ended for another reason is not: its host may be there, and would delete what somebody perhaps wants to keep.
 */
async function continueDeleting(
  context: ClientContext,
  instanceId: string,
  saidGone: string | undefined,
): Promise<void> {
  checkInstanceId(instanceId);
  const last = await findRun(context, instanceId);
  if (last?.memo.operation !== 'delete' || last.status !== 'failed') return;
  if (saidGone !== undefined && saidGone !== last.memo.host) return;
  if ((await failureCodeOf(context, last)) === 'HostUnreachable') {
    await startDeletion(context, instanceId, last, undefined);
  }
}

/**
 * The host that has yet to remove what is left there; null: nothing is, since nothing was made or it is removed by now.
 */
async function hostToCleanUp(
  context: ClientContext,
  { instanceId, memo }: OperationRun,
  { result }: Outcome,
): Promise<string | null> {
  const { host, operation, operationId } = memo;
  if (operation === 'delete') return (result as DeleteInstanceResult | undefined)?.cleanupPendingOn ?? null;
  const pendingCleanup = await describeRun(context, cleanupWorkflowId({ host, instanceId, operationId }));
  return pendingCleanup !== null && statusOf(pendingCleanup.status.name) === 'running' ? host : null;
}
