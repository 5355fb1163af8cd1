import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import {
  defineQuery,
  isCancellation,
  setCurrentDetails,
  setHandler,
  upsertMemo,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import {
  type OperationMemo,
  type OperationProgress,
  type ParkedReport,
  type Phase,
  progressQueryName,
  type StepReport,
} from '../domain/operations.ts';
import { detailsTable } from './details-table.ts';

const phaseAttribute = defineSearchAttributeKey('EverbootPhase', SearchAttributeType.KEYWORD);
const hostAttribute = defineSearchAttributeKey('EverbootHost', SearchAttributeType.KEYWORD);

/** Keeps the table of an operation's steps, and shows it: to the query, in the Temporal UI, as a search attribute. */
export interface OperationTracker {
  /** Runs a step and notes how it went. */
  track(step: Pick<StepReport, 'step' | 'activityId' | 'summary'>, run: () => Promise<unknown>): Promise<unknown>;
  /** Adds to what a person reads of the newest such step what came of it, where "done" does not say it. */
  remark(name: string, words: string): void;
  /** Says what the operation is at. */
  enter(phase: Phase): void;
  phase(): Phase;
  /** Says why the operation waits for an operator; null: it does not any more. */
  park(report: ParkedReport | null): void;
  /** Shows the same again: how long something has lasted is part of it. */
  show(): void;
  /** Says since when no worker of the host answers; null: one does. */
  hostAway(since: number | null): void;
  /** Says that the operation goes on under other claims, perhaps on another host. Whoever was at it is not heard any more. */
  goOnAs(memo: Pick<OperationMemo, 'operationId' | 'host' | 'generation' | 'specDigest'>): void;
}

/** Starts the table of an operation that has just begun. */
export function trackOperation(
  operation: OperationProgress['operation'],
  host: string,
  phase: Phase,
): OperationTracker {
  const steps: StepReport[] = [];
  let now: Omit<OperationProgress, 'steps'> = { operation, phase, host };
  const progress = (): OperationProgress => ({ ...now, steps });
  const show = (): void => setCurrentDetails(detailsTable(progress()));
  const change = (next: Omit<OperationProgress, 'steps'>): void => {
    now = next;
    show();
  };
  setHandler(defineQuery<OperationProgress>(progressQueryName), progress);
  show();

  return {
    async track(step, run) {
      const index = steps.push({ ...step, state: 'running', startedAt: Date.now() }) - 1;
      const end = (state: StepReport['state']): void => {
        // The step of a host that was given up has its end already.
        if (steps[index]?.endedAt !== undefined) return;
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
    remark(name, words) {
      const index = steps.findLastIndex((step) => step.step === name);
      const step = steps[index];
      // One that was not done again has been remarked on before.
      if (step === undefined || step.summary.endsWith(words)) return;
      steps[index] = { ...step, summary: `${step.summary}: ${words}` };
      show();
    },
    enter(next) {
      if (next === now.phase) return;
      upsertSearchAttributes([{ key: phaseAttribute, value: next }]);
      change({ ...now, phase: next });
    },
    phase: () => now.phase,
    park(report) {
      const { parked: _before, ...others } = now;
      change(report === null ? others : { ...others, parked: report });
    },
    show,
    hostAway(since) {
      const { hostAwaySince: _before, ...others } = now;
      change(since === null ? others : { ...others, hostAwaySince: since });
    },
    goOnAs(memo) {
      steps.forEach((step, index) => {
        if (step.state === 'running') steps[index] = { ...step, state: 'cancelled', endedAt: Date.now() };
      });
      upsertMemo({ ...memo });
      if (memo.host !== now.host) upsertSearchAttributes([{ key: hostAttribute, value: memo.host }]);
      const { hostAwaySince: _answers, ...others } = now;
      change({ ...others, host: memo.host });
    },
  };
}
