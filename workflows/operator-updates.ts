import { condition } from '@temporalio/workflow';
import { reportIn } from '../domain/application-failure.ts';
import { parkedRemedy, reportOf } from '../domain/failure-report.ts';
import { EverbootFailure } from '../domain/failures.ts';
import type { ParkedReport, RequestedInstance } from '../domain/operations.ts';
import { stepTimes } from '../domain/step-times.ts';
import { acceptUpdate, answerQuery } from './message-handlers.ts';
import type { OperationTracker } from './operation-tracker.ts';
import { everbootFailure } from './step-failure.ts';

/** An operator's decision on a parked operation. */
export type Decision =
  | { readonly kind: 'abandon' }
  | { readonly kind: 'retry'; readonly change: RequestedInstance | undefined };

export interface Holding {
  /** After which it is abandoned by itself; absent: never. */
  readonly forSeconds: number | undefined;
  /** Steps whose results stay, by their ids. */
  readonly keeps: readonly string[];
}

/** The updates by which operators decide on a running operation. */
export interface OperatorUpdates {
  /** Parks the operation with its failure, until an operator has decided; see `ParkedReport`. */
  decide(failure: unknown, holding: Holding): Promise<Decision>;
  /** Settles when an operator says that the host is gone permanently; never before. */
  hostGone(): Promise<void>;
}

/** Registers the update handlers of a creation. */
export function handleOperatorUpdates(tracker: OperationTracker, asked: RequestedInstance): OperatorUpdates {
  let request = asked;
  let parked = false;
  let decision: Decision | undefined;

  answerQuery('request', () => request);
  acceptUpdate(
    'retry',
    {
      description: 'Continues with a parked operation, perhaps with its spec changed.',
      validator({ change } = {}) {
        if (!parked || decision !== undefined) throw notParked();
        if (change !== undefined) checkChange(change, request);
      },
    },
    ({ change } = {}) => {
      if (change !== undefined) request = change;
      decision = { kind: 'retry', change };
    },
  );
  const hostGone = handleAbandon(tracker, {
    mayAbandon: () => parked && decision === undefined,
    onAbandon: () => {
      decision = { kind: 'abandon' };
    },
  });

  return {
    async decide(failure, holding) {
      decision = undefined;
      parked = true;
      const report = parkedReport(failure, holding);
      tracker.park(report);
      tracker.enter('NeedsOperator');
      try {
        return await untilDecided(tracker, report, () => decision);
      } finally {
        parked = false;
        decision = undefined;
        tracker.park(null);
      }
    },
    hostGone,
  };
}

/** Registers the update handler that every operation has: abandoning it because its host is gone, at any time. */
export function handleHostGone(tracker: OperationTracker): Pick<OperatorUpdates, 'hostGone'> {
  return { hostGone: handleAbandon(tracker, { mayAbandon: () => false, onAbandon: () => undefined }) };
}

interface AbandonRules {
  /** Whether there is something to abandon while the host is there. */
  readonly mayAbandon: () => boolean;
  readonly onAbandon: () => void;
}

function handleAbandon(tracker: OperationTracker, { mayAbandon, onAbandon }: AbandonRules): () => Promise<void> {
  // No condition of Temporal's, which would end with a cancellation of the operation.
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  acceptUpdate(
    'abandon',
    {
      description: 'Gives up a parked operation; with hostGone, any operation whose host never comes back.',
      validator({ hostGone, host } = {}) {
        if (hostGone !== true && !mayAbandon()) throw notParked();
        if (host !== undefined && host !== tracker.host()) {
          throw everbootFailure('InstanceBusy', `the operation is on ${tracker.host()} by now, and not on ${host}`);
        }
      },
    },
    ({ hostGone } = {}) => (hostGone === true ? resolve() : onAbandon()),
  );
  return () => gone;
}

/**
 * The client checks a changed request as it checks a new one, and the host once more; here only that it is one, and for
 * the same instance. Whoever sends something else by hand must not lose what the operation keeps.
 */
function checkChange(change: RequestedInstance, { spec }: RequestedInstance): void {
  const wrong = (what: string) => everbootFailure('SpecInvalid', `the changed request ${what}`);
  const { spec: changed, flavor, specDigest } = change;
  const isWhole =
    typeof changed?.secrets === 'object' && typeof changed.boot === 'string' && typeof specDigest === 'string';
  if (!isWhole || typeof flavor?.rootGb !== 'number') throw wrong('is not whole: use `everboot retry`');
  for (const field of ['id', 'name', 'host', 'hosts'] as const) {
    if (JSON.stringify(changed[field]) !== JSON.stringify(spec[field])) throw wrong(`has another ${field}`);
  }
}

function notParked(): Error {
  return everbootFailure('InstanceBusy', 'the operation is not parked: there is nothing to decide');
}

/** Reminds of itself ever more seldom, since each time costs the history a few events. */
async function untilDecided(
  tracker: OperationTracker,
  { until }: ParkedReport,
  decision: () => Decision | undefined,
): Promise<Decision> {
  let pauseMs = stepTimes.firstReminderMs;
  for (;;) {
    const leftMs = until === undefined ? Number.POSITIVE_INFINITY : until - Date.now();
    if (leftMs <= 0) return { kind: 'abandon' };
    await condition(() => decision() !== undefined, Math.min(pauseMs, leftMs));
    const decided = decision();
    if (decided !== undefined) return decided;
    tracker.show();
    pauseMs = Math.min(pauseMs * 2, stepTimes.longestPauseBetweenRemindersMs);
  }
}

function parkedReport(failure: unknown, { forSeconds, keeps }: Holding): ParkedReport {
  const report = reportIn(failure) ?? reportOf(new EverbootFailure('InternalError', String(failure)));
  const { code, message, problems, step } = report;
  const since = Date.now();
  return {
    code,
    message,
    remedy: parkedRemedy(report),
    ...(problems.length === 0 ? {} : { problems }),
    ...(step === undefined ? {} : { step }),
    keeps,
    since,
    ...(forSeconds === undefined ? {} : { until: since + forSeconds * 1000 }),
  };
}
