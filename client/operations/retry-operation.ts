import type { RetryRequest } from '../../domain/operations.ts';
import { changeRequest, type SpecChange } from '../request/change-request.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import type { StartedInstance } from './create-instance.ts';
import { checkInputSize } from './start-operation.ts';
import { askRequest, notParked, runningOperation, updateOperation } from './update-operation.ts';

/**
 * Continues with a creation that waits for an operator, and returns as soon as it does. Without a change it continues
 * at the step that failed; with one, what was made is taken back and made again for the changed spec.
 *
 * Throws InstanceBusy (it is not parked, or it is a deletion), OperationEnded, InstanceNotFound, SpecInvalid and
 * SecretKeyMissing (the change), HostUnreachable (no worker of any host polls), TemporalUnreachable.
 */
export async function retryOperation(
  context: ClientContext,
  instanceId: string,
  change?: SpecChange,
): Promise<StartedInstance> {
  const run = await runningOperation(context, instanceId);
  if (run.memo.operation !== 'create' || run.phase !== 'NeedsOperator') throw notParked(run);
  const request: RetryRequest =
    change === undefined ? {} : { change: await changeRequest(context, await askRequest(context, run), change) };
  checkInputSize(request);
  await updateOperation(context, run, 'retry', request);
  const { runId, memo } = run;
  return { instanceId, name: memo.name ?? instanceId, host: memo.host, runId, joined: false, onFailure: 'hold' };
}
