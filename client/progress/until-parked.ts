import { setTimeout as sleep } from 'node:timers/promises';
import { instanceWorkflowId, type ParkedReport } from '../../domain/operations.ts';
import { isConnectionTrouble } from '../temporal/call-temporal.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { findRun } from '../temporal/operation-run.ts';
import { askWorkflow } from './read-progress.ts';

/** How long it is from one look to the next: short at first, when somebody looks on. */
const firstPauseMs = 1000;
const longestPauseMs = 5000;
const growth = 1.2;

/**
 * Looks now and then whether an instance’s creation waits for an operator, and returns with what; null when it has
 * ended or is no creation any more. Temporal going away does not end the looking. Throws the signal’s reason.
 */
export async function untilParked(
  context: ClientContext,
  instanceId: string,
  signal: AbortSignal,
): Promise<ParkedReport | null> {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * growth, longestPauseMs)) {
    const seen = await look(context, instanceId);
    if (seen !== 'building') return seen;
    await sleep(pauseMs, undefined, { signal });
  }
}

async function look(context: ClientContext, instanceId: string): Promise<ParkedReport | null | 'building'> {
  try {
    // Asked without its run’s id, since a run that somebody resets continues as another one.
    const run = await findRun(context, instanceId);
    if (run?.status !== 'running' || run.memo.operation !== 'create') return null;
    if (run.phase !== 'NeedsOperator') return 'building';
    const reported = await askWorkflow(context, instanceWorkflowId(instanceId), run.runId);
    return reported?.parked ?? 'building';
  } catch (error) {
    if (isConnectionTrouble(error)) return 'building';
    throw error;
  }
}
