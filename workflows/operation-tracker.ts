import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { setCurrentDetails, upsertMemo, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import type { OperationMemo, OperationProgress, ParkedReport, Phase, StepReport } from '../domain/operations.ts';
import { detailsTable } from './details-table.ts';
import { answerQuery } from './message-handlers.ts';
import { type StepTable, stepTable } from './step-table.ts';

const phaseAttribute = defineSearchAttributeKey('EverbootPhase', SearchAttributeType.KEYWORD);
const hostAttribute = defineSearchAttributeKey('EverbootHost', SearchAttributeType.KEYWORD);

/** Keeps the table of an operation's steps, and shows it: to the query, in the Temporal UI, as a search attribute. */
export interface OperationTracker extends StepTable {
  /** Says what the operation is at. While its host is away, that is what is shown, unless the operation rests. */
  enter(phase: Phase): void;
  /** The operation's phase, whether or not its host is there. */
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
  /**
   * Says that the operation continues under other claims, perhaps on another host. Whoever was at it is not heard any
   * more.
   */
  continueAs(memo: Pick<OperationMemo, 'operationId' | 'host' | 'generation' | 'specDigest'>): void;
}

export interface HostAbsence {
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly phase: Extract<Phase, 'WaitingForHost' | 'HostUnreachable'>;
}

/** An operation that has ended, or waits for a person, wants nothing of its host. */
const restingPhases: ReadonlySet<Phase> = new Set(['NeedsOperator', 'Ready', 'Failed', 'Cancelled', 'Deleted', 'Done']);

/** Starts the table of an operation that has just started. */
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
    operation,
    phase: shownPhase,
    host: at.host,
    steps,
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
    ...stepTable(steps, show),
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
    continueAs(memo) {
      upsertMemo({ ...memo });
      if (memo.host !== at.host) upsertSearchAttributes([{ key: hostAttribute, value: memo.host }]);
      absence = null;
      at = { ...at, host: memo.host };
      show();
    },
  };
}

/** The tracker of one attempt: once the attempt is abandoned, reports of its steps are ignored. */
export function untilGivenUp(tracker: OperationTracker, isGivenUp: () => boolean): OperationTracker {
  return {
    ...tracker,
    track: async (step, run) => (isGivenUp() ? await run() : await tracker.track(step, run)),
    note: (words) => (isGivenUp() ? undefined : tracker.note(words)),
    remark: (name, words) => (isGivenUp() ? undefined : tracker.remark(name, words)),
    enter: (phase) => (isGivenUp() ? undefined : tracker.enter(phase)),
  };
}
