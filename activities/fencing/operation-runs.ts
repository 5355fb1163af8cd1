import { getClient } from '@temporalio/activity';
import type { WorkflowExecutionInfo } from '@temporalio/client';
import type { Claim } from '../../domain/claim.ts';
import type { OperationFacts } from '../../domain/judge-claim.ts';
import { instanceWorkflowId, type OperationMemo } from '../../domain/operations.ts';
import type { WorkflowName } from '../../domain/workflows.ts';
import { describeRun, orUnreachable } from './describe-run.ts';

/** How long Temporal may take to list an instance's runs. */
const answerWithinMs = 10_000;

/** An instance has a handful of operations within Temporal's retention. */
const maxRuns = 100;

/** Asks for the newest run on an instance, see `newestRun`. */
export type NewestRuns = (instanceId: string) => Promise<OperationFacts | null>;

/** Asks Temporal once for each instance, however often it is looked for. */
export function newestRuns(): NewestRuns {
  const asked = new Map<string, Promise<OperationFacts | null>>();
  return (instanceId) => {
    const answer = asked.get(instanceId) ?? newestRun(instanceId);
    asked.set(instanceId, answer);
    return answer;
  };
}

/**
 * The newest run on an instance, as the server knows it now; null: it knows none. The answer is not a list's, which
 * lags. Throws what the client throws when no answer comes.
 */
async function newestRun(instanceId: string): Promise<OperationFacts | null> {
  const run = await describeRun({ workflowId: instanceWorkflowId(instanceId) });
  return run === null ? null : factsOf(run);
}

/**
 * As `newestRun`, for a step that must not continue in ignorance: throws TemporalUnreachable when no answer comes.
 */
export async function askForNewestRun(instanceId: string): Promise<OperationFacts | null> {
  return await orUnreachable(`Temporal does not say what became of ${instanceId}`, newestRun(instanceId));
}

/** Finds the run of a claim's own operation, where the newest one is not it. Throws as `newestRun`. */
export async function runOf(
  { instanceId, operationId }: Claim,
  newest: OperationFacts | null,
): Promise<OperationFacts | null> {
  if (newest === null || newest.operationId === operationId) return newest;
  const client = getClient();
  return await client.withDeadline(Date.now() + answerWithinMs, async () => {
    let seen = 0;
    for await (const run of client.workflow.list({ query: `WorkflowId = "${instanceWorkflowId(instanceId)}"` })) {
      const facts = factsOf(run);
      // A list lags: one that it calls open is not the newest one any more.
      if (facts.operationId === operationId && facts.outcome !== 'open') return facts;
      seen += 1;
      if (seen >= maxRuns) break;
    }
    return null;
  });
}

function factsOf(run: Omit<WorkflowExecutionInfo, 'raw'>): OperationFacts {
  const memo = (run.memo ?? {}) as Partial<OperationMemo>;
  const outcome = outcomeOf(run.status.name);
  return {
    operation: memo.operation ?? (run.type === ('deleteInstance' satisfies WorkflowName) ? 'delete' : run.type),
    operationId: memo.operationId ?? null,
    host: memo.host ?? null,
    outcome,
    sinceMs: (outcome === 'open' ? run.startTime : (run.closeTime ?? run.startTime)).getTime(),
  };
}

/** A state that is not known to be an end counts as open. */
function outcomeOf(status: WorkflowExecutionInfo['status']['name']): OperationFacts['outcome'] {
  switch (status) {
    case 'COMPLETED':
      return 'succeeded';
    case 'FAILED':
      return 'failed';
    case 'CANCELLED':
      return 'cancelled';
    case 'TERMINATED':
      return 'terminated';
    case 'TIMED_OUT':
      return 'timed out';
    default:
      return 'open';
  }
}
