import { defaultPayloadConverter } from '@temporalio/common';
import { decodeReport } from '../../domain/failure-report.ts';
import type { FailureCode } from '../../domain/failures.ts';
import {
  instanceWorkflowId,
  type OperationProgress,
  type ParkedReport,
  type Phase,
  type StepReport,
  type StepState,
} from '../../domain/operations.ts';
import type { StepProgress } from '../../domain/step-progress.ts';
import { checkInstanceId, unknownInstance } from '../request/instance-id.ts';
import { callTemporal } from '../temporal/call-temporal.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { type DescribedRun, findRun } from '../temporal/operation-run.ts';
import { queryWorkflow } from '../temporal/workflow-calls.ts';

/** One step of an operation, with what its worker said last. */
export interface StepView {
  readonly activityId: string;
  readonly step: string;
  readonly summary: string;
  readonly state: StepState;
  /** ISO 8601, as all times. */
  readonly startedAt: string;
  readonly endedAt?: string;
  /** True: no worker is at it, it waits for a free slot or for its next attempt. */
  readonly waiting?: boolean;
  readonly progress?: StepProgress;
  /** Present from the second one on. */
  readonly attempt?: number;
  /** Why the attempt before failed. */
  readonly lastFailure?: { readonly code: string; readonly message: string };
}

export interface OperationView {
  readonly operation: OperationProgress['operation'];
  readonly phase: Phase;
  readonly host: string;
  readonly steps: readonly StepView[];
  /** Present while it waits for an operator. */
  readonly parked?: ParkedView;
  /** Since when no worker of the host answers; absent while one does. */
  readonly hostAwaySince?: string;
}

/** Why an operation waits for an operator. */
export interface ParkedView extends Omit<ParkedReport, 'since' | 'until'> {
  readonly since: string;
  /** When it is abandoned by itself; absent: never. */
  readonly until?: string;
}

/** A query is answered by a worker, and there may be none: then what Temporal itself knows has to do. */
const queryTimeoutMs = 3000;

/** How far an instance’s newest operation is. Throws InstanceNotFound, TemporalUnreachable. */
export async function readProgress(context: ClientContext, instanceId: string, runId?: string): Promise<OperationView> {
  checkInstanceId(instanceId);
  const [run, reported] = await Promise.all([
    findRun(context, instanceId, runId),
    askWorkflow(context, instanceWorkflowId(instanceId), runId),
  ]);
  if (run === null) throw unknownInstance(instanceId);
  return progressOf(runView(run), reported);
}

/** The steps as the workflow reports them; null when no worker answers in time. */
export async function askWorkflow(
  context: ClientContext,
  workflowId: string,
  runId?: string,
): Promise<OperationProgress | null> {
  const handle = context.client.workflow.getHandle(workflowId, runId);
  try {
    return await callTemporal(context, () => queryWorkflow(handle, 'progress'), queryTimeoutMs);
  } catch {
    return null;
  }
}

/** An operation as Temporal itself describes it. */
export type RunView = Omit<OperationView, 'steps'> & Pick<DescribedRun, 'description' | 'status'>;

export function runView({ memo, phase, description, status }: DescribedRun): RunView {
  return { operation: memo.operation, host: memo.host, phase, description, status };
}

/** Merges the workflow's report with Temporal's state of the steps that are not done. */
export function progressOf(run: RunView, reported: OperationProgress | null): OperationView {
  const pending = new Map(pendingSteps(run).map((step) => [step.activityId, step]));
  if (reported === null) {
    const steps = [...pending.values()].map((step) => stepView(stepOfPending(step), step));
    return { operation: run.operation, phase: run.phase, host: run.host, steps };
  }
  const steps = reported.steps.map((step) =>
    stepView(step, step.state === 'running' ? pending.get(step.activityId) : undefined),
  );
  const { operation, phase, host } = reported;
  // The two were asked concurrently: of an operation that has ended, its end counts.
  if (run.status !== 'running') return { operation, phase: run.phase, host, steps };
  return { operation, phase, host, steps, ...waitsOf(reported) };
}

/** The reasons why an operation waits: an operator, its host. */
export function waitsOf({ parked, hostAwaySince }: OperationProgress): Pick<OperationView, 'parked' | 'hostAwaySince'> {
  return {
    ...(parked === undefined ? {} : { parked: parkedView(parked) }),
    ...(hostAwaySince === undefined ? {} : { hostAwaySince: new Date(hostAwaySince).toISOString() }),
  };
}

function parkedView({ since, until, ...report }: ParkedReport): ParkedView {
  return {
    ...report,
    since: new Date(since).toISOString(),
    ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
  };
}

interface PendingStep {
  readonly activityId: string;
  readonly step: string;
  readonly startedAt: number;
  readonly waiting: boolean;
  readonly attempt: number;
  readonly progress?: StepProgress;
  readonly lastFailure?: { readonly code: string; readonly message: string };
}

type PendingActivity = NonNullable<RunView['description']['raw']['pendingActivities']>[number];

const startedState = 2;

function pendingSteps({ description }: RunView): PendingStep[] {
  return (description.raw.pendingActivities ?? []).map((pending) => {
    const [heartbeat] = (pending.heartbeatDetails?.payloads ?? []).map(decode<StepProgress>);
    const { lastFailure, state } = pending;
    return {
      activityId: pending.activityId ?? '',
      step: pending.activityType?.name ?? '',
      startedAt: Number(pending.scheduledTime?.seconds ?? 0) * 1000,
      waiting: state !== undefined && state !== null && state < startedState,
      attempt: pending.attempt ?? 1,
      ...(typeof heartbeat?.doneBytes === 'number' ? { progress: heartbeat } : {}),
      ...(lastFailure === undefined || lastFailure === null ? {} : { lastFailure: lastFailureOf(lastFailure) }),
    };
  });
}

type RawFailure = NonNullable<PendingActivity['lastFailure']>;

/** Why an attempt failed. One that was not reported has lost its worker. */
function lastFailureOf({ applicationFailureInfo, message }: RawFailure): { code: string; message: string } {
  const details = (applicationFailureInfo?.details?.payloads ?? []).map(decode<unknown>);
  const type = applicationFailureInfo?.type ?? ('WorkerStopping' satisfies FailureCode);
  const report = decodeReport({ type, message: message ?? '', details });
  return { code: report.code, message: report.message };
}

function decode<Value>(payload: Parameters<typeof defaultPayloadConverter.fromPayload>[0]): Value | undefined {
  try {
    return defaultPayloadConverter.fromPayload<Value>(payload);
  } catch {
    // Another release’s worker may heartbeat something else.
    return undefined;
  }
}

function stepOfPending({ activityId, step, startedAt }: PendingStep): StepReport {
  return { activityId, step, summary: step, state: 'running', startedAt };
}

function stepView(report: StepReport, pending: PendingStep | undefined): StepView {
  const { activityId, step, summary, state, startedAt, endedAt } = report;
  return {
    ...{ activityId, step, summary, state, startedAt: new Date(startedAt).toISOString() },
    ...(endedAt === undefined ? {} : { endedAt: new Date(endedAt).toISOString() }),
    ...(pending?.waiting === true ? { waiting: true } : {}),
    ...(pending?.progress === undefined ? {} : { progress: pending.progress }),
    ...(pending === undefined || pending.attempt < 2 ? {} : { attempt: pending.attempt }),
    ...(pending?.lastFailure === undefined ? {} : { lastFailure: pending.lastFailure }),
  };
}
