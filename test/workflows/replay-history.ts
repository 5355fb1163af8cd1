import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker, type WorkflowBundle } from '@temporalio/worker';
import type { KeptHistory } from './kept-histories.ts';

/**
 * Carries a kept history on with such workflows. Throws, naming the workflow and the history, where they would have
 * gone another way than what is recorded.
 */
export async function replayHistory(
  workflowBundle: WorkflowBundle,
  { workflowType, release, shape, history }: KeptHistory,
): Promise<void> {
  try {
    await Worker.runReplayHistory({ workflowBundle }, historyFromJSON(history));
  } catch (cause) {
    const words = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${workflowType} cannot continue the history ${release}/${shape}: ${words}`, { cause });
  }
}
