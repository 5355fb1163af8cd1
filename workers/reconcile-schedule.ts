import type { Client } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type { Configuration } from '../domain/configuration.ts';
import { reconcileWorkflowId } from '../domain/host-maintenance.ts';
import { type Workflows, workflowStart } from '../domain/workflows.ts';
import { ensureSchedule } from './ensure-schedule.ts';
import { log } from './log.ts';

/** How long Temporal may take to start the reconciliation; the schedule's next one comes in any case. */
const startWithinMs = 10_000;

/** Makes the Temporal Schedule by which a host is reconciled, see `ensureSchedule`. */
export async function ensureReconcileSchedule(client: Client, { host }: Configuration): Promise<void> {
  await ensureSchedule(client, {
    scheduleId: `everboot-host-reconcile/${host.name}`,
    host: host.name,
    intervalSeconds: host.reconcileInterval,
    workflowId: reconcileWorkflowId(host.name),
    start: workflowStart('reconcileHost', { host: host.name, dryRun: false }),
  });
}

/**
 * Has a host reconciled now, as after each start of its worker: a crash, or a restart of the machine, is what leaves
 * things behind. A reconciliation that runs is joined. That it could not be started keeps nobody from booting guests.
 * The signal ends the asking.
 */
export async function reconcileNow(client: Client, host: string, signal: AbortSignal): Promise<void> {
  const hostAttribute = defineSearchAttributeKey('EverbootHost', SearchAttributeType.KEYWORD);
  const { workflowType, ...start } = workflowStart('reconcileHost', { host, dryRun: false });
  try {
    const asked = () =>
      client.workflow.start<Workflows['reconcileHost']>(workflowType, {
        ...start,
        workflowId: reconcileWorkflowId(host),
        workflowIdConflictPolicy: 'USE_EXISTING',
        typedSearchAttributes: [{ key: hostAttribute, value: host }],
        staticSummary: `reconcile ${host} after the start of its worker`,
      });
    await client.withDeadline(Date.now() + startWithinMs, () => client.withAbortSignal(signal, asked));
  } catch (error) {
    if (signal.aborted) return;
    log.warn({ error: error instanceof Error ? error.message : String(error) }, 'the host could not be reconciled');
  }
}
