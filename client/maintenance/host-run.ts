import { WorkflowFailedError } from '@temporalio/client';
import type { OperationProgress, Phase } from '../../domain/operations.ts';
import type { WorkflowInput, WorkflowName, WorkflowResult } from '../../domain/workflows.ts';
import { checkOnePolls, theOnlyHost } from '../hosts/hosts.ts';
import { askWorkflow, type OperationView, progressOf } from '../progress/read-progress.ts';
import { callTemporal } from '../temporal/call-temporal.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { workFailure } from '../temporal/operation-failure.ts';
import { attributeKey, statusOf } from '../temporal/operation-run.ts';
import { type WaitOptions, waitForWorkflow } from '../temporal/outcome.ts';
import { startWorkflow } from '../temporal/workflow-calls.ts';

/** Something that is done to a host, and not to one instance. It continues whether or not anybody waits. */
export interface HostRun<Result> {
  readonly host: string;
  readonly workflowId: string;
  progress(): Promise<OperationView>;
  /** Waits for its end. Throws what it failed with, see `EverbootFailure`. */
  result(options?: WaitOptions): Promise<Result>;
}

export interface HostWork<Name extends WorkflowName> {
  readonly workflowType: Name;
  /** The one host that polls where it is not given. */
  readonly host: string | undefined;
  readonly inputOn: (host: string) => WorkflowInput<Name>;
  /** The same work that runs already under this id is joined. */
  readonly workflowIdOn: (host: string) => string;
  /** One line for the Temporal UI. */
  readonly summary: string;
  readonly operation: OperationProgress['operation'];
  /** The phase to show until the workflow reports its own. */
  readonly phase: Phase;
}

/** Starts work on a host, or joins it. Throws HostUnreachable, SpecInvalid (which host?). */
export async function startHostWork<Name extends WorkflowName>(
  context: ClientContext,
  work: HostWork<Name>,
): Promise<HostRun<WorkflowResult<Name>>> {
  const { workflowType, workflowIdOn, inputOn, summary } = work;
  const host = work.host ?? (await theOnlyHost(context));
  if (work.host !== undefined) await checkOnePolls(context, [host]);
  const workflowId = workflowIdOn(host);
  const handle = await callTemporal(context, () =>
    startWorkflow(context.client, workflowType, inputOn(host), {
      workflowId,
      workflowIdConflictPolicy: 'USE_EXISTING',
      typedSearchAttributes: [{ key: attributeKey('EverbootHost'), value: host.slice(0, 200) }],
      staticSummary: `${summary} on ${host}`.slice(0, 200),
    }),
  );
  const run = { workflowId, runId: handle.firstExecutionRunId };
  return {
    host,
    workflowId,
    progress: () => hostProgress(context, work, { host, ...run }),
    async result(options) {
      try {
        return (await waitForWorkflow(context, run, options)) as WorkflowResult<Name>;
      } catch (error) {
        throw error instanceof WorkflowFailedError ? workFailure(error.cause) : error;
      }
    },
  };
}

async function hostProgress(
  context: ClientContext,
  work: Pick<HostWork<WorkflowName>, 'operation' | 'phase'>,
  { host, workflowId, runId }: { readonly host: string; readonly workflowId: string; readonly runId: string },
): Promise<OperationView> {
  const handle = context.client.workflow.getHandle(workflowId, runId);
  const [description, reported] = await Promise.all([
    callTemporal(context, () => handle.describe()),
    askWorkflow(context, workflowId, runId),
  ]);
  const status = statusOf(description.status.name);
  const phase = status === 'running' ? work.phase : status === 'completed' ? 'Done' : 'Failed';
  return progressOf({ operation: work.operation, phase, host, description, status }, reported);
}
