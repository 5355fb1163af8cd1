import { createHash } from 'node:crypto';
import { type Client, ScheduleAlreadyRunning, type ScheduleOptions } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type { WorkflowStart } from '../domain/workflows.ts';
import { log } from './log.ts';

/** Something that is done on a host again and again. */
export interface RepeatedWork {
  readonly scheduleId: string;
  readonly host: string;
  readonly intervalSeconds: number;
  readonly workflowId: string;
  readonly start: WorkflowStart;
}

/**
 * Makes the Temporal Schedule of some work, where it is absent. One that is there keeps what an operator made of it
 * (paused, moved); only its interval follows the configuration, if that has changed. A server that refuses schedules is
 * no reason not to boot guests, so this only says so.
 */
export async function ensureSchedule({ schedule }: Client, work: RepeatedWork): Promise<void> {
  const { scheduleId } = work;
  const wanted = wantedSchedule(work);
  try {
    await schedule.create(wanted);
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) {
      const words = error instanceof Error ? error.message : String(error);
      log.warn({ scheduleId, error: words }, 'this schedule could not be made');
      return;
    }
    await followInterval(schedule.getHandle(scheduleId), wanted).catch((failure: unknown) =>
      log.warn({ scheduleId, error: String(failure) }, 'this schedule could not be looked at'),
    );
  }
}

interface WantedSchedule extends ScheduleOptions {
  readonly action: ScheduleOptions['action'] & { readonly memo: { readonly intervalSeconds: number } };
}

function wantedSchedule(work: RepeatedWork): WantedSchedule {
  const { scheduleId, host, intervalSeconds, workflowId, start } = work;
  const hostAttribute = defineSearchAttributeKey('EverbootHost', SearchAttributeType.KEYWORD);
  return {
    scheduleId,
    // Intervals are counted from 1970: without an offset of its own, every host would begin at the same moment.
    spec: { intervals: [{ every: intervalSeconds * 1000, offset: offsetMs(host, intervalSeconds) }] },
    // What was missed while Temporal or the host was away is done once, with the next one.
    policies: { overlap: 'SKIP', catchupWindow: '1 minute' },
    action: {
      // Distinguishes an interval of the configuration from one that an operator chose.
      memo: { intervalSeconds },
      type: 'startWorkflow',
      ...start,
      workflowId,
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
