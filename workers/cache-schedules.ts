import type { Client } from '@temporalio/client';
import { cacheWorkflowId } from '../domain/cache.ts';
import type { Configuration } from '../domain/configuration.ts';
import { workflowStart } from '../domain/workflows.ts';
import { ensureSchedule } from './ensure-schedule.ts';

/** A scrub looks for due files this much more often than each file is due, so that they are not all read at once. */
const looksPerScrub = 7;
const longestPauseSeconds = 86_400;

/** Makes the Temporal Schedules by which a host’s cache is swept and scrubbed, see `ensureSchedule`. */
export async function ensureCacheSchedules(client: Client, { host, imageCache }: Configuration): Promise<void> {
  const { name } = host;
  await ensureSchedule(client, {
    scheduleId: `everboot-cache-sweep/${name}`,
    host: name,
    intervalSeconds: imageCache.managerInterval,
    workflowId: cacheWorkflowId(name, 'sweep'),
    start: workflowStart('sweepCache', { host: name, dryRun: false }),
  });
  await ensureSchedule(client, {
    scheduleId: `everboot-cache-scrub/${name}`,
    host: name,
    intervalSeconds: Math.ceil(Math.min(longestPauseSeconds, imageCache.scrubInterval / looksPerScrub)),
    workflowId: cacheWorkflowId(name, 'scrub'),
    start: workflowStart('scrubCache', { host: name, names: null, force: false }),
  });
}
