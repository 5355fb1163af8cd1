import type { Client } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type { Configuration } from '../domain/configuration.ts';
import { tendWorkflowId } from '../domain/host-care.ts';
import { type Workflows, workflowStart } from '../domain/workflows.ts';
import { ensureSchedule } from './ensure-schedule.ts';
import { log } from './log.ts';

/** How long Temporal may take to start the tending; the schedule's next one comes in any case. */
const startWithinMs = 10_000;

/** Makes the Temporal Schedule by which a host is tended, see `ensureSchedule`. */
export async function ensureTendSchedule(client: Client, { host }: Configuration): Promise<void> {
  await ensureSchedule(client, {
    scheduleId: `everboot-host-tend/${host.name}`,
    host: host.name,
    intervalSeconds: host.tendInterval,
    workflowId: tendWorkflowId(host.name),
    start: workflowStart('tendHost', { host: host.name, dryRun: false }),
  });
}

/**
 * Has a host tended now, as after each start of its worker: a crash, or a restart of the machine, is what leaves things
 * behind. A tending that runs is joined. That it could not be started keeps nobody from booting guests. The signal ends the
 * asking.
 */
export async function tendNow(client: Client, host: string, signal: AbortSignal): Promise<void> {
  const hostAttribute = defineSearchAttributeKey('EverbootHost', SearchAttributeType.KEYWORD);
  const { workflowType, ...start } = workflowStart('tendHost', { host, dryRun: false });
  try {
    const asked = () =>
      client.workflow.start<Workflows['tendHost']>(workflowType, {
        ...start,
        workflowId: tendWorkflowId(host),
        workflowIdConflictPolicy: 'USE_EXISTING',
        typedSearchAttributes: [{ key: hostAttribute, value: host }],
        staticSummary: `tend ${host} after the start of its worker`,
      });
    await client.withDeadline(Date.now() + startWithinMs, () => client.withAbortSignal(signal, asked));
  } catch (error) {
    if (signal.aborted) return;
    log.warn({ error: error instanceof Error ? error.message : String(error) }, 'the host could not be tended');
  }
}
