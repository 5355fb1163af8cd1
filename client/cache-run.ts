import { randomUUID } from 'node:crypto';
import { cacheWorkflowId } from '../domain/cache.ts';
import type { ClientContext } from './client-context.ts';
import { type HostRun, startHostWork } from './host-run.ts';

/** Something that is done to a host’s image cache. It goes on whether or not anybody waits. */
export type CacheRun<Result> = HostRun<Result>;

export interface CacheWork {
  readonly workflowType: 'listCache' | 'sweepCache' | 'scrubCache' | 'pinCache' | 'precacheImage';
  /** The one host that polls where it is not given. */
  readonly host: string | undefined;
  readonly input: object;
  /** The same work that runs already is joined; null: it is started beside any other. */
  readonly once: string | null;
  /** One line for the Temporal UI. */
  readonly summary: string;
}

/** Starts work on a host’s image cache, or joins it. Throws HostUnreachable, SpecInvalid (which host?). */
export async function startCacheWork<Result>(context: ClientContext, work: CacheWork): Promise<CacheRun<Result>> {
  const { once, ...rest } = work;
  const what = once ?? `${work.workflowType}/${randomUUID()}`;
  const workflowIdOn = (host: string): string => cacheWorkflowId(host, what);
  return await startHostWork(context, { ...rest, workflowIdOn, operation: 'cache', phase: 'Fetching' });
}
