import { CancellationScope, isCancellation, sleep } from '@temporalio/workflow';
import type { OperationTracker } from './operation-tracker.ts';

/** Registers what takes a step back. It is called before the step, since a step that timed out may still have run. */
export type RegisterUndo = (undo: () => Promise<unknown>) => void;

/**
 * Does the work; if it fails or is cancelled, runs the undos that were registered by then, last first, and throws the
 * failure. The undos cannot be cancelled, and each of them is tried until it succeeds.
 */
export async function undoOnFailure<Made>(
  tracker: OperationTracker,
  work: (undo: RegisterUndo) => Promise<Made>,
): Promise<Made> {
  const undos: (() => Promise<unknown>)[] = [];
  try {
    return await work((undo) => undos.push(undo));
  } catch (error) {
    await CancellationScope.nonCancellable(async () => {
      if (undos.length > 0) tracker.enter('Undoing');
      for (const undo of undos.reverse()) await untilDone(undo);
      tracker.enter(isCancellation(error) ? 'Cancelled' : 'Failed');
    });
    throw error;
  }
}

/** Temporal tries each undo by itself for ever; should one fail all the same, the others must not be left out. */
async function untilDone(undo: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await undo();
      return;
    } catch {
      await sleep('30 seconds', { summary: 'try the undo again' });
    }
  }
}
