import { getClient } from '@temporalio/activity';
import type { WorkflowExecutionDescription } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';
import { EverbootFailure } from '../../domain/failures.ts';

/** Whoever asks under a lock keeps others waiting; the step is tried again where Temporal does not answer in time. */
const answerWithinMs = 10_000;

interface RunName {
  readonly workflowId: string;
  /** Absent: the workflow's newest run. */
  readonly runId?: string;
}

/**
 * A run as the server knows it now; null: it knows none. This is the workflow's own state and not a list, which lags.
 * Throws what the client throws when no answer comes.
 */
export async function describeRun({ workflowId, runId }: RunName): Promise<WorkflowExecutionDescription | null> {
  const client = getClient();
  try {
    const handle = client.workflow.getHandle(workflowId, runId);
    return await client.connection.withDeadline(Date.now() + answerWithinMs, () => handle.describe());
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** As `describeRun`, for a step that must not continue in ignorance: throws TemporalUnreachable, in these words. */
export async function askForRun(name: RunName, unknown: string): Promise<WorkflowExecutionDescription | null> {
  return await orUnreachable(unknown, describeRun(name));
}

/** Throws TemporalUnreachable, in these words, where an answer of Temporal's does not come. */
export async function orUnreachable<Answer>(unknown: string, answer: Promise<Answer>): Promise<Answer> {
  return await answer.catch((error: unknown) => {
    const words = error instanceof Error ? error.message : String(error);
    throw new EverbootFailure('TemporalUnreachable', `${unknown}: ${words}`);
  });
}
