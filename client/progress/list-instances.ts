import type { Phase } from '../../domain/operations.ts';
import type { OperationName } from '../../domain/workflows.ts';
import { callTemporal } from '../temporal/call-temporal.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { operationRun } from '../temporal/operation-run.ts';
import { fillParked } from './fill-parked.ts';
import type { ParkedView } from './read-progress.ts';

/** One line of the list: an instance by its newest operation. */
export interface InstanceSummary {
  readonly instanceId: string;
  readonly name: string | null;
  readonly host: string;
  readonly operation: 'create' | 'delete';
  readonly phase: Phase;
  readonly image: string | null;
  readonly startedAt: string;
  readonly endedAt?: string;
  /** Only in the list of the parked ones, and only where a worker answers. */
  readonly parked?: ParkedView;
}

export interface InstanceList {
  readonly instances: readonly InstanceSummary[];
  /** True: there are more than the limit allowed. */
  readonly more: boolean;
}

export interface ListOptions {
  /** 100 where it is not given. */
  readonly limit?: number;
  /** True: instances that were deleted are listed, too. */
  readonly all?: boolean;
  readonly host?: string;
  /** True: only those that wait for an operator, with what each waits for. */
  readonly parked?: boolean;
}

const parkedPhase: Phase = 'NeedsOperator';
const operationNames: readonly OperationName[] = ['createInstance', 'deleteInstance'];
const query = `WorkflowType IN (${operationNames.map(quoted).join(', ')})`;

/** Runs that are looked at for one list; deleted instances and earlier operations count, too. */
const maxRunsRead = 20_000;
const listTimeoutMs = 60_000;

/**
 * Lists instances, those with a running operation first, then the newest. Temporal’s lists lag a little behind: what
 * was started a moment ago may be missing, so nothing may be decided by them.
 */
export async function listInstances(context: ClientContext, options: ListOptions = {}): Promise<InstanceList> {
  const { limit = 100, all = false, host, parked = false } = options;
  const seen = new Set<string>();
  const instances: InstanceSummary[] = [];
  let more = false;
  let runsRead = 0;
  const filtered = [
    query,
    ...(host === undefined ? [] : [`EverbootHost = ${quoted(host)}`]),
    // What ends while it is parked keeps the phase.
    ...(parked ? [`EverbootPhase = ${quoted(parkedPhase)}`, 'ExecutionStatus = "Running"'] : []),
  ].join(' AND ');
  await callTemporal(
    context,
    async () => {
      // Open runs come first and then those that ended last, so an instance’s newest operation comes before its others.
      for await (const info of context.client.workflow.list({ query: filtered, pageSize: 500 })) {
        runsRead += 1;
        if (runsRead > maxRunsRead) more = true;
        if (more) return;
        if (seen.has(info.workflowId)) continue;
        seen.add(info.workflowId);
        const { instanceId, memo, phase, image, startedAt, endedAt } = operationRun(info);
        if (phase === 'Deleted' && !all) continue;
        if (instances.length === limit) more = true;
        else
          instances.push({
            instanceId,
            name: memo.name ?? null,
            host: memo.host,
            operation: memo.operation,
            phase,
            image,
            startedAt,
            ...(endedAt === undefined ? {} : { endedAt }),
          });
      }
    },
    listTimeoutMs,
  );
  return { instances: parked ? await fillParked(context, instances) : instances, more };
}

function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}
