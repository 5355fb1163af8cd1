import { ScheduleAlreadyRunning, ScheduleNotFoundError, type ScheduleOptions } from '@temporalio/client';
import { cacheWorkflowId } from '../../domain/cache.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { workflowStart } from '../../domain/workflows.ts';
import { theOnlyHost } from '../hosts/hosts.ts';
import { callTemporal } from '../temporal/call-temporal.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { attributeKey } from '../temporal/operation-run.ts';
import type { CacheWork } from './cache-run.ts';

const leastSeconds = 60;

/** Fetching an image again and again. */
export type RepeatableWork = CacheWork<'precacheImage'> & { readonly once: string };

/**
 * Makes, changes or (0 seconds) removes the Temporal Schedule of work on a cache. Throws SpecInvalid for a short
 * interval.
 */
export async function scheduleCacheWork(
  context: ClientContext,
  work: RepeatableWork,
  everySeconds: number,
): Promise<{ readonly scheduleId: string; readonly everySeconds: number }> {
  if (everySeconds !== 0 && (!Number.isSafeInteger(everySeconds) || everySeconds < leastSeconds)) {
    throw new EverbootFailure(
      'SpecInvalid',
      `an interval of ${leastSeconds} seconds or more was expected, or 0 for none`,
    );
  }
  const host = work.host ?? (await theOnlyHost(context));
  const scheduleId = `everboot-${work.once.replace('/', `/${host}/`)}`;
  const { schedule } = context.client;
  const handle = schedule.getHandle(scheduleId);
  if (everySeconds === 0) {
    await callTemporal(context, () => handle.delete()).catch((error: unknown) => {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
    });
    return { scheduleId, everySeconds };
  }
  const wanted: ScheduleOptions = {
    scheduleId,
    spec: { intervals: [{ every: everySeconds * 1000 }] },
    policies: { overlap: 'SKIP', catchupWindow: '1 minute' },
    action: {
      type: 'startWorkflow',
      ...workflowStart(work.workflowType, work.inputOn(host)),
      workflowId: cacheWorkflowId(host, work.once),
      typedSearchAttributes: [{ key: attributeKey('EverbootHost'), value: host.slice(0, 200) }],
      staticSummary: `${work.summary} on ${host}`.slice(0, 200),
    },
    // The first time is now.
    state: { triggerImmediately: true },
  };
  try {
    await callTemporal(context, () => schedule.create(wanted));
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    const { spec, action } = wanted;
    await callTemporal(context, () => handle.update((before) => ({ ...before, spec, action })));
  }
  return { scheduleId, everySeconds };
}
