import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowFailedError } from '@temporalio/client';
import { TerminatedFailure, WorkflowNotFoundError } from '@temporalio/common';
import { EverbootFailure, type FailureCode } from '../../domain/failures.ts';
import {
  type DeleteInstanceResult,
  type InstanceResult,
  instanceWorkflowId,
  type OperationMemo,
} from '../../domain/operations.ts';
import { callTemporal, isConnectionTrouble } from './call-temporal.ts';
import type { ClientContext } from './client-context.ts';
import type { OperationFailure } from './failure-document.ts';
import { operationFailure } from './operation-failure.ts';
import { findRun, type OperationRun } from './operation-run.ts';

export interface WaitOptions {
  /** Ends the waiting, not the operation. */
  readonly signal?: AbortSignal;
  /** Called once for each time that Temporal stops answering; the waiting continues. */
  readonly onUnreachable?: (failure: EverbootFailure) => void;
}

/** How an operation ended. */
export type Outcome =
  | { readonly result: InstanceResult | DeleteInstanceResult; readonly failure?: undefined }
  | { readonly failure: OperationFailure; readonly result?: undefined };

const pauseMs = 1000;

/** How often, and how long, the server is asked whether it is there. */
const lookMs = 4000;

/**
 * Waits until an operation has ended, however long that takes: Temporal going away in the meantime does not end it, so
 * it does not end the waiting either. Throws InstanceNotFound when Temporal does not know the run, and the signal’s
 * reason.
 */
export async function waitForOutcome(
  context: ClientContext,
  run: { readonly instanceId: string; readonly runId: string },
  options: WaitOptions = {},
): Promise<Outcome> {
  const { instanceId } = run;
  let { runId } = run;
  for (;;) {
    try {
      const result = await waitForWorkflow(context, { workflowId: instanceWorkflowId(instanceId), runId }, options);
      return { result: result as InstanceResult | DeleteInstanceResult };
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof WorkflowNotFoundError) {
        throw new EverbootFailure('InstanceNotFound', `Temporal does not know this operation on ${instanceId}`);
      }
      if (!(error instanceof WorkflowFailedError)) throw error;
      const nextRunId =
        error.cause instanceof TerminatedFailure ? await runAfterReset(context, instanceId, runId) : null;
      if (nextRunId === null) return { failure: operationFailure(instanceId, error.cause) };
      runId = nextRunId;
    }
  }
}

/**
 * The failure code of a run; null: it did not fail, but may have been cancelled or terminated. Throws as
 * `waitForOutcome`.
 */
export async function failureCodeOf(context: ClientContext, run: OperationRun): Promise<FailureCode | null> {
  if (run.status !== 'failed') return null;
  return (await waitForOutcome(context, run)).failure?.code ?? null;
}

/** The result of a workflow run, see `waitForOutcome`. Throws Temporal’s own error when the run failed. */
export async function waitForWorkflow(
  context: ClientContext,
  { workflowId, runId }: { readonly workflowId: string; readonly runId: string },
  { signal, onUnreachable }: WaitOptions = {},
): Promise<unknown> {
  const { connection, workflow } = context.client;
  const done = new AbortController();
  let isReported = false;
  const report = (): void => {
    if (!isReported) onUnreachable?.(unreachable(context));
    isReported = true;
  };
  if (onUnreachable !== undefined) void watchServer(context, done.signal, report);
  try {
    for (;;) {
      signal?.throwIfAborted();
      try {
        const asked = (): Promise<unknown> => workflow.getHandle(workflowId, runId).result();
        return await (signal === undefined ? asked() : connection.withAbortSignal(signal, asked));
      } catch (error) {
        signal?.throwIfAborted();
        if (!isConnectionTrouble(error)) throw error;
        report();
        await sleep(pauseMs, undefined, signal === undefined ? {} : { signal });
      }
    }
  } finally {
    done.abort();
  }
}

/** The SDK tries a call for half a minute before it says that nobody answers, so the server is asked beside it. */
async function watchServer(context: ClientContext, signal: AbortSignal, report: () => void): Promise<void> {
  const { workflowService } = context.client;
  while (!signal.aborted) {
    try {
      await callTemporal(context, () => workflowService.getSystemInfo({}), lookMs);
    } catch (error) {
      if (!signal.aborted && isConnectionTrouble(error)) report();
    }
    await sleep(lookMs, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

/** Somebody may have reset the operation in the Temporal UI: the old run is terminated, and a new one continues. */
async function runAfterReset(context: ClientContext, instanceId: string, runId: string): Promise<string | null> {
  const [before, now] = await Promise.all([findRun(context, instanceId, runId), findRun(context, instanceId)]);
  if (before === null || now === null || now.runId === runId) return null;
  return firstOperationOf(now.memo) === firstOperationOf(before.memo) ? now.runId : null;
}

/** Another try at the same operation has an id of its own. */
function firstOperationOf({ operationId, firstOperationId }: OperationMemo): string {
  return firstOperationId ?? operationId;
}

function unreachable({ address }: ClientContext): EverbootFailure {
  return new EverbootFailure('TemporalUnreachable', `the Temporal server at ${address} does not answer`);
}
