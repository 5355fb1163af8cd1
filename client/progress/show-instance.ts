import { EverbootFailure } from '../../domain/failures.ts';
import type { InstanceRecord } from '../../domain/instance-record.ts';
import { type DeleteInstanceResult, type InstanceResult, instanceWorkflowId } from '../../domain/operations.ts';
import { askHosts } from '../hosts/ask-hosts.ts';
import { checkInstanceId } from '../request/instance-id.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { type FailureDocument, failureDocument, type OperationFailure } from '../temporal/failure-document.ts';
import { deletionFailure } from '../temporal/operation-failure.ts';
import { findRun } from '../temporal/operation-run.ts';
import { waitForOutcome } from '../temporal/outcome.ts';
import { askWorkflow, type OperationView, progressOf, runView } from './read-progress.ts';

/** An instance as its newest operation describes it, and how that ended. */
export interface InstanceView extends Pick<OperationView, 'host' | 'phase' | 'steps' | 'parked' | 'hostAwaySince'> {
  readonly instanceId: string;
  readonly name: string | null;
  readonly operation: 'create' | 'delete';
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly result?: InstanceResult | DeleteInstanceResult;
  readonly error?: FailureDocument;
}

/**
 * Shows an instance by its newest operation, or by its host’s own record where Temporal has forgotten it. Throws
 * InstanceNotFound, NotManaged, HostUnreachable, TemporalUnreachable.
 */
export async function showInstance(
  context: ClientContext,
  instanceId: string,
  { host }: { readonly host?: string } = {},
): Promise<InstanceView> {
  checkInstanceId(instanceId);
  const run = await findRun(context, instanceId);
  if (run === null) return await showRecord(context, instanceId, host);
  const [reported, outcome] = await Promise.all([
    askWorkflow(context, instanceWorkflowId(instanceId), run.runId),
    run.status === 'running' ? null : waitForOutcome(context, run),
  ]);
  const { operation, ...progress } = progressOf(runView(run), reported);
  return {
    instanceId,
    name: run.memo.name ?? null,
    ...progress,
    host: run.memo.host,
    operation: operation === 'delete' ? 'delete' : 'create',
    startedAt: run.startedAt,
    ...(run.endedAt === undefined ? {} : { endedAt: run.endedAt }),
    ...(outcome?.result === undefined ? {} : { result: outcome.result }),
    ...(outcome?.failure === undefined ? {} : { error: failureDocument(saidOf(operation, outcome.failure)) }),
  };
}

function saidOf(operation: OperationView['operation'], failure: OperationFailure): OperationFailure {
  return operation === 'delete' ? deletionFailure(failure) : failure;
}

async function showRecord(context: ClientContext, instanceId: string, host: string | undefined): Promise<InstanceView> {
  const record = await askHosts(context, instanceId, host);
  if (record !== null) return viewOfRecord(record);
  const asked = host === undefined ? 'no host that polls has it' : `${host} does not have it`;
  throw new EverbootFailure('InstanceNotFound', `Temporal does not know the instance ${instanceId}, and ${asked}`);
}

function viewOfRecord({ claim, name, host, state, createdAt, result }: InstanceRecord): InstanceView {
  return {
    instanceId: claim.instanceId,
    name,
    host,
    operation: 'create',
    startedAt: createdAt,
    steps: [],
    phase: state === 'ready' ? 'Ready' : 'Building',
    ...(result === undefined ? {} : { result }),
  };
}
