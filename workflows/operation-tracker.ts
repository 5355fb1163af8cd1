import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import {
  defineQuery,
  isCancellation,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import { type OperationProgress, type Phase, progressQueryName, type StepReport } from '../domain/operations.ts';
import { detailsTable } from './details-table.ts';

const phaseAttribute = defineSearchAttributeKey('EverbootPhase', SearchAttributeType.KEYWORD);

/** Keeps the table of an operation's steps, and shows it: to the query, in the Temporal UI, as a search attribute. */
export interface OperationTracker {
  /** Runs a step and notes how it went. */
  track(step: Pick<StepReport, 'step' | 'activityId' | 'summary'>, run: () => Promise<unknown>): Promise<unknown>;
  /** Adds to what a person reads of a step what came of it, where "done" does not say it. */
  remark(activityId: string, words: string): void;
  /** Says what the operation is at. */
  enter(phase: Phase): void;
  phase(): Phase;
}

/** Starts the table of an operation that has just begun. */
export function trackOperation(
  operation: OperationProgress['operation'],
  host: string,
  phase: Phase,
): OperationTracker {
  const steps: StepReport[] = [];
  let current = phase;
  const progress = (): OperationProgress => ({ operation, phase: current, host, steps });
  const show = (): void => setCurrentDetails(detailsTable(progress()));
  setHandler(defineQuery<OperationProgress>(progressQueryName), progress);
  show();

  return {
    async track(step, run) {
      const index = steps.push({ ...step, state: 'running', startedAt: Date.now() }) - 1;
      const end = (state: StepReport['state']): void => {
        steps[index] = { ...(steps[index] as StepReport), state, endedAt: Date.now() };
        show();
      };
      show();
      try {
        const made = await run();
        end('done');
        return made;
      } catch (error) {
        end(isCancellation(error) ? 'cancelled' : 'failed');
        throw error;
      }
    },
    remark(activityId, words) {
      const index = steps.findLastIndex((step) => step.activityId === activityId);
      const step = steps[index];
      if (step === undefined) return;
      steps[index] = { ...step, summary: `${step.summary}: ${words}` };
      show();
    },
    enter(next) {
      if (next === current) return;
      current = next;
      upsertSearchAttributes([{ key: phaseAttribute, value: next }]);
      show();
    },
    phase: () => current,
  };
}
