// What a control plane imports.
// biome-ignore-all lint/performance/noBarrelFile: the package’s public entry point

export type { CacheListing, PrecacheResult, ScrubResult, SweepReport } from '../domain/cache.ts';
export { EverbootFailure, type FailureCode } from '../domain/failures.ts';
export type { ReconciledItem, ReconcileResult, ResumeReport } from '../domain/host-maintenance.ts';
export type { DeleteInstanceResult, InstanceResult } from '../domain/operations.ts';
export type { AbandonOptions, AbandonResult } from './abandon-operation.ts';
export type { CacheClient } from './cache.ts';
export type { CacheRun } from './cache-run.ts';
export type { CancelResult } from './cancel-operation.ts';
export type { SpecChange } from './change-request.ts';
export { type ClientSettings, connectClient, type EverbootClient, type TemporalTarget } from './connect-client.ts';
export type { CreateOptions, StartedInstance } from './create-instance.ts';
export { type FailureDocument, failureDocument, type OperationFailure } from './failure-document.ts';
export type { HostClient } from './host-maintenance.ts';
export type { HostRun } from './host-run.ts';
export type { InstanceList, InstanceSummary } from './list-instances.ts';
export type { WaitOptions } from './outcome.ts';
export { type PreparedInstance, type PrepareSettings, prepareInstance } from './prepare-instance.ts';
export type { OperationView, ParkedView, StepView } from './read-progress.ts';
export type { InstanceView } from './show-instance.ts';
