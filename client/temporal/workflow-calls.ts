import type { Client, WorkflowHandle, WorkflowHandleWithStartDetails, WorkflowStartOptions } from '@temporalio/client';
import {
  type QueryName,
  type UpdateName,
  type WorkflowInput,
  type WorkflowName,
  type WorkflowQueries,
  type Workflows,
  type WorkflowUpdates,
  workflowStart,
} from '../../domain/workflows.ts';

/**
 * Temporal's options of a start; the name and the input are the workflow's own, and so is the queue unless one is
 * given.
 */
export type StartOptions = Omit<WorkflowStartOptions, 'args' | 'taskQueue'> & { readonly taskQueue?: string };

/** A run that was started or joined, whose result has the workflow's own type. */
export type StartedRun<Name extends WorkflowName> = WorkflowHandleWithStartDetails<Workflows[Name]>;

/** Starts a workflow. Throws Temporal's own errors. */
export async function startWorkflow<Name extends WorkflowName>(
  client: Client,
  name: Name,
  input: WorkflowInput<Name>,
  options: StartOptions,
): Promise<StartedRun<Name>> {
  const { workflowType, ...start } = workflowStart(name, input);
  const run = await client.workflow.start<Workflows[WorkflowName]>(workflowType, { ...start, ...options });
  return run as StartedRun<Name>;
}

/** Asks a workflow a query, which one of its workers answers. Throws Temporal's own errors. */
export async function queryWorkflow<Name extends QueryName>(
  handle: Pick<WorkflowHandle, 'query'>,
  name: Name,
): Promise<WorkflowQueries[Name]> {
  return await handle.query<WorkflowQueries[Name]>(name);
}

/** Sends a workflow an update, and returns when it has accepted it. Throws Temporal's own errors. */
export async function updateWorkflow<Name extends UpdateName>(
  handle: Pick<WorkflowHandle, 'executeUpdate'>,
  name: Name,
  request: WorkflowUpdates[Name],
): Promise<void> {
  await handle.executeUpdate<void, [WorkflowUpdates[Name]]>(name, { args: [request] });
}
