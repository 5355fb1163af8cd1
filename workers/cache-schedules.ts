import { createHash } from 'node:crypto';
import { Client, type Connection, ScheduleAlreadyRunning, type ScheduleOptions } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { cacheWorkflowId } from '../domain/cache.ts';
import type { Configuration } from '../domain/configuration.ts';
import { workflowTaskQueue } from '../domain/task-queues.ts';
import { log } from './log.ts';

/** A scrub looks for due files this much more often than each file is due, so that they are not all read at once. */
const looksPerScrub = 7;
const longestPauseSeconds = 86_400;

/**
 * Makes the Temporal Schedules by which a host’s cache is swept and scrubbed, where they are absent. One that is there
 * keeps what an operator made of it (paused, moved); only its interval follows the configuration, if that has changed.
 * A server that refuses schedules is no reason not to boot guests, so this only says so.
 */
export async function ensureCacheSchedules(
  connection: Connection,
  namespace: string,
  configuration: Configuration,
): Promise<void> {
  const { schedule } = new Client({ connection, namespace });
  for (const wanted of cacheSchedules(configuration)) {
    try {
      await schedule.create(wanted);
    } catch (error) {
      if (!(error instanceof ScheduleAlreadyRunning)) {
        const words = error instanceof Error ? error.message : String(error);
        log.warn({ scheduleId: wanted.scheduleId, error: words }, 'this schedule could not be made');
        continue;
      }
      await followInterval(schedule.getHandle(wanted.scheduleId), wanted).catch((failure: unknown) =>
        log.warn({ scheduleId: wanted.scheduleId, error: String(failure) }, 'this schedule could not be looked at'),
      );
    }
  }
}

interface WantedSchedule extends ScheduleOptions {
  readonly action: ScheduleOptions['action'] & { readonly memo: { readonly intervalSeconds: number } };
}

function cacheSchedules({ host, imageCache }: Configuration): WantedSchedule[] {
  const scrubEvery = Math.ceil(Math.min(longestPauseSeconds, imageCache.scrubInterval / looksPerScrub));
  const scrub = { host: host.name, names: null, force: false };
  return [
    cacheSchedule(host.name, 'sweep', imageCache.managerInterval, 'sweepCache', { host: host.name, dryRun: false }),
    cacheSchedule(host.name, 'scrub', scrubEvery, 'scrubCache', scrub),
  ];
}

function cacheSchedule(
  host: string,
  what: 'sweep' | 'scrub',
  intervalSeconds: number,
  workflowType: string,
  input: object,
): WantedSchedule {
  const hostAttribute = defineSearchAttributeKey('EverbootHost', SearchAttributeType.KEYWORD);
  return {
    scheduleId: `everboot-cache-${what}/${host}`,
    // Intervals are counted from 1970: without an offset of its own, every host would begin at the same moment.
    spec: { intervals: [{ every: intervalSeconds * 1000, offset: offsetMs(host, intervalSeconds) }] },
    // What was missed while Temporal or the host was away is done once, with the next one.
    policies: { overlap: 'SKIP', catchupWindow: '1 minute' },
    action: {
      // Tells an interval that the configuration gave from one that an operator chose.
      memo: { intervalSeconds },
      type: 'startWorkflow',
      workflowType,
      args: [input],
      taskQueue: workflowTaskQueue,
      workflowId: cacheWorkflowId(host, what),
      typedSearchAttributes: [{ key: hostAttribute, value: host }],
    },
  };
}

async function followInterval(
  handle: ReturnType<Client['schedule']['getHandle']>,
  { spec, action, policies }: WantedSchedule,
): Promise<void> {
  const present = await handle.describe();
  const before = present.action.memo?.intervalSeconds;
  const after = action.memo.intervalSeconds;
  if (before === after) return;
  await handle.update((all) => ({ ...all, spec, action, policies: policies ?? all.policies }));
  log.info({ before, after }, 'the interval of a schedule follows the configuration');
}

function offsetMs(host: string, intervalSeconds: number): number {
  const hash = createHash('sha256').update(host).digest();
  return (hash.readUInt32BE(0) % intervalSeconds) * 1000;
}
