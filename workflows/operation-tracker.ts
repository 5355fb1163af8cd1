import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import {
  isCancellation,
  setCurrentDetails,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { OperationMemo, OperationProgress, ParkedReport, Phase, StepReport } from '../domain/operations.ts';
import { detailsTable } from './details-table.ts';
import { answerQuery } from './message-handlers.ts';

const phaseAttribute = defineSearchAttributeKey('EverbootPhase', SearchAttributeType.KEYWORD);
const hostAttribute = defineSearchAttributeKey('EverbootHost', SearchAttributeType.KEYWORD);

/** Keeps the table of an operation's steps, and shows it: to the query, in the Temporal UI, as a search attribute. */
export interface OperationTracker {
  /** Runs a step and notes how it went. */
  track(step: Pick<StepReport, 'step' | 'activityId' | 'summary'>, run: () => Promise<unknown>): Promise<unknown>;
  /** Adds a row of its own for what was decided, or became of the operation. */
  note(words: string): void;
  /** Adds to what a person reads of the newest such step what came of it, where "done" does not say it. */
  remark(name: string, words: string): void;
  /** Says what the operation is at. While its host is away, that is what is shown, unless the operation rests. */
  enter(phase: Phase): void;
  /** What the operation is at, whether or not its host is there. */
  phase(): Phase;
  /** Where it is. */
  host(): string;
  /** Says why the operation waits for an operator; null: it does not any more. */
  park(report: ParkedReport | null): void;
  /** Shows the same again: how long something has lasted is part of it. */
  show(): void;
  /** Says since when no worker of the host answers, and whether that is long; null: one does. */
  hostAway(absence: HostAbsence | null): void;
  absence(): HostAbsence | null;
  /** Says that nobody waits for the steps that run any more. */
  leaveSteps(): void;
  /** Says that the operation goes on under other claims, perhaps on another host. Whoever was at it is not heard any more. */
  goOnAs(memo: Pick<OperationMemo, 'operationId' | 'host' | 'generation' | 'specDigest'>): void;
}

export interface HostAbsence {
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly phase: Extract<Phase, 'WaitingForHost' | 'HostUnreachable'>;
}

/** An operation that has ended, or waits for a person, wants nothing of its host. */
const restingPhases: ReadonlySet<Phase> = new Set(['NeedsOperator', 'Ready', 'Failed', 'Cancelled', 'Deleted', 'Done']);

/** Starts the table of an operation that has just begun. */
export function trackOperation(
  operation: OperationProgress['operation'],
  host: string,
  phase: Phase,
): OperationTracker {
  const steps: StepReport[] = [];
  let at = { phase, host };
  let parked: ParkedReport | null = null;
  let absence: HostAbsence | null = null;
  let shownPhase = phase;
  const { workflowId } = workflowInfo();
  const progress = (): OperationProgress => ({
    ...{ operation, phase: shownPhase, host: at.host, steps },
    ...(parked !== null && { parked }),
    ...(absence !== null && { hostAwaySince: absence.since }),
  });
  const show = (): void => setCurrentDetails(detailsTable(progress(), workflowId.replace(/^instance\//, '')));
  const say = (): void => {
    const next = absence === null || restingPhases.has(at.phase) ? at.phase : absence.phase;
    if (next !== shownPhase) upsertSearchAttributes([{ key: phaseAttribute, value: next }]);
    shownPhase = next;
    show();
  };
  answerQuery('progress', progress);
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
    note(words) {
      const [startedAt, activityId] = [Date.now(), `note-${steps.length}`];
      steps.push({ step: 'note', activityId, summary: words, state: 'done', startedAt, endedAt: startedAt });
      show();
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
      at = { ...at, phase: next };
      say();
    },
    phase: () => at.phase,
    host: () => at.host,
    park(report) {
      parked = report;
      show();
    },
    show,
    hostAway(report) {
      absence = report;
      say();
    },
    absence: () => absence,
    leaveSteps() {
      steps.forEach((step, index) => {
        if (step.state === 'running') steps[index] = { ...step, state: 'cancelled', endedAt: Date.now() };
      });
      show();
    },
    goOnAs(memo) {
      upsertMemo({ ...memo });
      if (memo.host !== at.host) upsertSearchAttributes([{ key: hostAttribute, value: memo.host }]);
      absence = null;
      at = { ...at, host: memo.host };
      show();
    },
  };
}

/** The tracker as one try at an operation has it: when the try was given up, whatever its steps still do is not heard. */
export function untilGivenUp(tracker: OperationTracker, isGivenUp: () => boolean): OperationTracker {
  return {
    ...tracker,
    track: async (step, run) => (isGivenUp() ? await run() : await tracker.track(step, run)),
    note: (words) => (isGivenUp() ? undefined : tracker.note(words)),
    remark: (name, words) => (isGivenUp() ? undefined : tracker.remark(name, words)),
    enter: (phase) => (isGivenUp() ? undefined : tracker.enter(phase)),
  };
}
