// What a control plane imports.
// biome-ignore-all lint/performance/noBarrelFile: the package’s public entry point

export type { CacheListing, PrecacheResult, ScrubResult, SweepReport } from '../domain/cache.ts';
export { EverbootFailure, type FailureCode } from '../domain/failures.ts';
export type { ReconciledItem, ReconcileResult, ResumeReport } from '../domain/host-maintenance.ts';
export type { DeleteInstanceResult, InstanceResult } from '../domain/operations.ts';
export { type ClientSettings, connectClient, type EverbootClient, type TemporalTarget } from './connect-client.ts';
export type { CacheClient } from './maintenance/cache.ts';
export type { CacheRun } from './maintenance/cache-run.ts';
export type { HostClient } from './maintenance/host-maintenance.ts';
export type { HostRun } from './maintenance/host-run.ts';
export type { AbandonOptions, AbandonResult } from './operations/abandon-operation.ts';
export type { CancelResult } from './operations/cancel-operation.ts';
export type { CreateOptions, StartedInstance } from './operations/create-instance.ts';
export type { InstanceList, InstanceSummary } from './progress/list-instances.ts';
export type { OperationView, ParkedView, StepView } from './progress/read-progress.ts';
export type { InstanceView } from './progress/show-instance.ts';
export type { SpecChange } from './request/change-request.ts';
export { type PreparedInstance, type PrepareSettings, prepareInstance } from './request/prepare-instance.ts';
export { type FailureDocument, failureDocument, type OperationFailure } from './temporal/failure-document.ts';
export type { WaitOptions } from './temporal/outcome.ts';
