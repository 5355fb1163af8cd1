import { CancellationScope, isCancellation, sleep } from '@temporalio/workflow';
import { stepTimes } from '../domain/step-times.ts';
import type { OperationTracker } from './operation-tracker.ts';

/**
 * Registers what takes a step back, by the name of what it does: registered again, it is still done once. It is called
 * before the step, since a step that timed out may still have run.
 */
export type RegisterUndo = (name: string, undo: () => Promise<unknown>) => void;

export interface FailureRules {
  /**
   * Asked when the work has failed permanently, before anything is undone. `again`: the work is done once more, with
   * the undos that it has. Throws what the operation is to fail with instead.
   */
  readonly decide?: (error: unknown) => Promise<'undo' | 'again'>;
  /** Called with each undo as it is registered. */
  readonly onRegister?: (name: string) => void;
  /** Called with the operation's failure, before the undo, which may take any time. */
  readonly onUndo?: (failure: unknown) => void;
  /** True: the host was abandoned, and whoever abandoned it sees to its orphans. */
  readonly isGivenUp?: () => boolean;
}

/**
 * Does the work; if it fails or is cancelled, runs the undos that were registered by then, last first, and throws the
 * failure. The undos cannot be cancelled, and each of them is tried until it succeeds.
 */
export async function undoOnFailure<Made>(
  tracker: OperationTracker,
  work: (undo: RegisterUndo) => Promise<Made>,
  {
    decide = async () => 'undo',
    onRegister = () => undefined,
    onUndo = () => undefined,
    isGivenUp = () => false,
  }: FailureRules = {},
): Promise<Made> {
  const undos = new Map<string, () => Promise<unknown>>();
  const register: RegisterUndo = (name, undo) => {
    undos.set(name, undo);
    onRegister(name);
  };
  for (;;) {
    try {
      return await work(register);
    } catch (error) {
      if (isGivenUp()) throw error;
      const { failure, again } = await outcomeOf(error, decide);
      // While it was parked: whatever was decided, nothing is asked of that host any more.
      if (isGivenUp()) throw error;
      if (again) continue;
      onUndo(failure);
      await CancellationScope.nonCancellable(async () => {
        if (undos.size > 0) tracker.enter('Undoing');
        for (const undo of [...undos.values()].reverse()) await untilDone(undo);
        tracker.enter(isCancellation(failure) ? 'Cancelled' : 'Failed');
      });
      throw failure;
    }
  }
}

async function outcomeOf(error: unknown, decide: NonNullable<FailureRules['decide']>) {
  if (isCancellation(error)) return { failure: error, again: false };
  try {
    return { failure: error, again: (await decide(error)) === 'again' };
  } catch (failure) {
    return { failure, again: false };
  }
}

/** Temporal tries each undo by itself indefinitely; should one fail all the same, the others must not be left out. */
async function untilDone(undo: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await undo();
      return;
    } catch {
      await sleep(stepTimes.undoAgainAfterMs, { summary: 'try the undo again' });
    }
  }
}
