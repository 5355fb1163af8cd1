import { randomUUID } from 'node:crypto';
import { WorkflowFailedError } from '@temporalio/client';
import { cacheWorkflowId } from '../domain/cache.ts';
import { workflowTaskQueue } from '../domain/task-queues.ts';
import { callTemporal } from './call-temporal.ts';
import type { ClientContext } from './client-context.ts';
import { checkSomebodyPolls, theOnlyHost } from './hosts.ts';
import { workFailure } from './operation-failure.ts';
import { attributeKey, statusOf } from './operation-run.ts';
import { type WaitOptions, waitForWorkflow } from './outcome.ts';
import { askWorkflow, type OperationView, progressOf } from './read-progress.ts';

/** Something that is done to a host’s image cache. It goes on whether or not anybody waits. */
export interface CacheRun<Result> {
  readonly host: string;
  readonly workflowId: string;
  progress(): Promise<OperationView>;
  /** Waits for its end. Throws what it failed with, see `EverbootFailure`. */
  result(options?: WaitOptions): Promise<Result>;
}

export interface CacheWork {
  readonly workflowType: 'listCache' | 'sweepCache' | 'scrubCache' | 'pinCache' | 'precacheImage';
  /** The one host that polls where it is not given. */
  readonly host: string | undefined;
  readonly input: object;
  /** The same work that runs already is joined; null: it is started beside any other. */
  readonly once: string | null;
  /** One line for the Temporal UI. */
  readonly summary: string;
}

/** Starts work on a host’s image cache, or joins it. Throws HostUnreachable, SpecInvalid (which host?). */
export async function startCacheWork<Result>(context: ClientContext, work: CacheWork): Promise<CacheRun<Result>> {
  const { workflowType, once, input, summary } = work;
  const host = work.host ?? (await theOnlyHost(context));
  await checkSomebodyPolls(context);
  const workflowId = cacheWorkflowId(host, once ?? `${workflowType}/${randomUUID()}`);
  const handle = await callTemporal(context, () =>
    context.client.workflow.start(workflowType, {
      args: [{ host, ...input }],
      taskQueue: workflowTaskQueue,
      workflowId,
      workflowIdConflictPolicy: 'USE_EXISTING',
      typedSearchAttributes: [{ key: attributeKey('EverbootHost'), value: host.slice(0, 200) }],
      staticSummary: `${summary} on ${host}`.slice(0, 200),
    }),
  );
  const run = { workflowId, runId: handle.firstExecutionRunId };
  return {
    ...{ host, workflowId },
    progress: () => cacheProgress(context, host, run),
    async result(options) {
      try {
        return (await waitForWorkflow(context, run, options)) as Result;
      } catch (error) {
        throw error instanceof WorkflowFailedError ? workFailure(error.cause) : error;
      }
    },
  };
}

async function cacheProgress(
  context: ClientContext,
  host: string,
  { workflowId, runId }: { readonly workflowId: string; readonly runId: string },
): Promise<OperationView> {
  const handle = context.client.workflow.getHandle(workflowId, runId);
  const [description, told] = await Promise.all([
    callTemporal(context, () => handle.describe()),
    askWorkflow(context, workflowId, runId),
  ]);
  const status = statusOf(description.status.name);
  const phase = status === 'running' ? 'Fetching' : status === 'completed' ? 'Done' : 'Failed';
  return progressOf({ operation: 'cache', phase, host, description, status }, told);
}
