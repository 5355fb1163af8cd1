// The workflow bundle’s entry: Temporal finds a workflow by the name of its export.
// biome-ignore-all lint/performance/noBarrelFile: the bundler takes one file

import type { WorkflowName, Workflows } from '../domain/workflows.ts';

export { cleanUpHost } from './clean-up-host.ts';
export { createInstance } from './create-instance.ts';
export { deleteInstance } from './delete-instance.ts';
export { inspectInstance } from './inspect-instance.ts';
export { listCache, pinCache, precacheImage, scrubCache, sweepCache } from './maintain-cache.ts';
export { reconcileHost } from './reconcile-host.ts';

type Exported = typeof import('./index.ts');

/** Compiles only when each workflow of the table is exported as the table types it, and nothing else is exported. */
export type ExportedWorkflows = Exact<Exported>;
type Exact<Exports extends Workflows & { readonly [Name in Exclude<keyof Exports, WorkflowName>]: never }> = Exports;
