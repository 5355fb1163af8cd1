import { randomUUID } from 'node:crypto';
import { cacheWorkflowId } from '../../domain/cache.ts';
import type { WorkflowName, WorkflowResult } from '../../domain/workflows.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { type HostRun, type HostWork, startHostWork } from './host-run.ts';

/** Something that is done to a host’s image cache. It continues whether or not anybody waits. */
export type CacheRun<Result> = HostRun<Result>;

type CacheWorkflow = Extract<WorkflowName, 'listCache' | 'sweepCache' | 'scrubCache' | 'pinCache' | 'precacheImage'>;

export interface CacheWork<Name extends CacheWorkflow>
  extends Pick<HostWork<Name>, 'workflowType' | 'host' | 'inputOn' | 'summary'> {
  /** The same work that runs already is joined; null: it is started beside any other. */
  readonly once: string | null;
}

/** Starts work on a host’s image cache, or joins it. Throws HostUnreachable, SpecInvalid (which host?). */
export async function startCacheWork<Name extends CacheWorkflow>(
  context: ClientContext,
  work: CacheWork<Name>,
): Promise<CacheRun<WorkflowResult<Name>>> {
  const { once, ...rest } = work;
  const what = once ?? `${work.workflowType}/${randomUUID()}`;
  const workflowIdOn = (host: string): string => cacheWorkflowId(host, what);
  return await startHostWork(context, { ...rest, workflowIdOn, operation: 'cache', phase: 'Fetching' });
}
