import { isCancellation } from '@temporalio/workflow';
import type { StepReport } from '../domain/operations.ts';

/** An operation's steps as they are shown: one row for each, and one for each thing that was decided. */
export interface StepTable {
  /** Runs a step and notes how it went. */
  track(step: Pick<StepReport, 'step' | 'activityId' | 'summary'>, run: () => Promise<unknown>): Promise<unknown>;
  /** Adds a row of its own for what was decided, or became of the operation. */
  note(words: string): void;
  /** Adds to what a person reads of the newest such step what came of it, where "done" does not say it. */
  remark(name: string, words: string): void;
  /** Says that nobody waits for the steps that run any more. */
  leaveSteps(): void;
}

/** Keeps the rows in `rows`, and calls `onChange` each time that one of them reads otherwise. */
export function stepTable(rows: StepReport[], onChange: () => void): StepTable {
  const add = (row: StepReport): number => {
    const index = rows.push(row) - 1;
    onChange();
    return index;
  };
  const change = (index: number, row: StepReport): void => {
    rows[index] = row;
    onChange();
  };
  const end = (index: number, state: StepReport['state']): void => {
    const row = rows[index];
    // The step of an abandoned host has its end already.
    if (row === undefined || row.endedAt !== undefined) return;
    change(index, { ...row, state, endedAt: Date.now() });
  };

  return {
    async track(step, run) {
      const index = add({ ...step, state: 'running', startedAt: Date.now() });
      try {
        const made = await run();
        end(index, 'done');
        return made;
      } catch (error) {
        end(index, isCancellation(error) ? 'cancelled' : 'failed');
        throw error;
      }
    },
    note(words) {
      const now = Date.now();
      const activityId = `note-${rows.length}`;
      add({ step: 'note', activityId, summary: words, state: 'done', startedAt: now, endedAt: now });
    },
    remark(name, words) {
      const index = rows.findLastIndex((row) => row.step === name);
      const row = rows[index];
      // One that was not done again has been remarked on before.
      if (row === undefined || row.summary.endsWith(words)) return;
      change(index, { ...row, summary: `${row.summary}: ${words}` });
    },
    leaveSteps() {
      rows.forEach((row, index) => {
        if (row.state === 'running') end(index, 'cancelled');
      });
    },
  };
}
