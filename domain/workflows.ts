import type { CacheListing, PrecacheInput, PrecacheResult, ScrubResult, SweepReport } from './cache.ts';
import type { PinOrder, PinReport, ScrubOrder, SweepOrder } from './host-activities.ts';
import type { ReconcileOrder, ReconcileResult } from './host-maintenance.ts';
import type { InstanceRecord } from './instance-record.ts';
import type {
  AbandonRequest,
  CleanUpHostInput,
  CreateInstanceInput,
  DeleteInstanceInput,
  DeleteInstanceResult,
  InstanceResult,
  OperationProgress,
  RequestedInstance,
  RetryRequest,
} from './operations.ts';
import { workflowTaskQueue } from './task-queues.ts';

type OnHost<Order = unknown> = Order & { readonly host: string };

/** Every workflow by its type's name in Temporal, with the one input that it takes and its result. */
export interface Workflows {
  readonly createInstance: (input: CreateInstanceInput) => Promise<InstanceResult>;
  readonly deleteInstance: (input: DeleteInstanceInput) => Promise<DeleteInstanceResult>;
  readonly inspectInstance: (input: OnHost<{ readonly instanceId: string }>) => Promise<InstanceRecord | null>;
  readonly cleanUpHost: (input: CleanUpHostInput) => Promise<void>;
  readonly listCache: (input: OnHost) => Promise<CacheListing>;
  readonly sweepCache: (input: OnHost<SweepOrder>) => Promise<SweepReport>;
  readonly scrubCache: (input: OnHost<ScrubOrder>) => Promise<ScrubResult>;
  readonly pinCache: (input: OnHost<PinOrder>) => Promise<PinReport>;
  readonly precacheImage: (input: PrecacheInput) => Promise<PrecacheResult>;
  readonly reconcileHost: (input: OnHost<ReconcileOrder>) => Promise<ReconcileResult>;
}

export type WorkflowName = keyof Workflows;
export type WorkflowInput<Name extends WorkflowName> = Parameters<Workflows[Name]>[0];
export type WorkflowResult<Name extends WorkflowName> = Awaited<ReturnType<Workflows[Name]>>;

/** The workflows that are operations on an instance. */
export type OperationName = Extract<WorkflowName, 'createInstance' | 'deleteInstance'>;

/**
 * The queries that workflows answer, by name: what each returns. Every workflow answers `progress`, a creation
 * `request`.
 */
export interface WorkflowQueries {
  readonly progress: OperationProgress;
  readonly request: RequestedInstance;
}

/**
 * The updates that operations accept, by name: what each is sent. `retry` resumes a parked creation, `abandon` ends it.
 */
export interface WorkflowUpdates {
  readonly retry: RetryRequest;
  readonly abandon: AbandonRequest;
}

export type QueryName = keyof WorkflowQueries;
export type UpdateName = keyof WorkflowUpdates;

/** A workflow as Temporal is asked to start it. */
export interface WorkflowStart<Name extends WorkflowName = WorkflowName> {
  readonly workflowType: Name;
  readonly args: [WorkflowInput<Name>];
  readonly taskQueue: typeof workflowTaskQueue;
}

/** The only place where a workflow's name and its input come together, so that neither can be another's. */
export function workflowStart<Name extends WorkflowName>(
  workflowType: Name,
  input: WorkflowInput<Name>,
): WorkflowStart<Name> {
  return { workflowType, args: [input], taskQueue: workflowTaskQueue };
}
