import { instanceWorkflowId } from '../domain/operations.ts';
import type { ClientContext } from './client-context.ts';
import type { InstanceSummary } from './list-instances.ts';
import { askWorkflow, waitsOf } from './read-progress.ts';

/** How many workflows are asked at a time. */
const askedAtOnce = 10;

/**
 * Adds to a list of parked instances why each is parked, which only its workflow knows. One that is not parked any more is
 * left out; one whose workflow does not answer stays, without its reason.
 */
export async function fillParked(
  context: ClientContext,
  instances: readonly InstanceSummary[],
): Promise<InstanceSummary[]> {
  const filled: InstanceSummary[] = [];
  for (let from = 0; from < instances.length; from += askedAtOnce) {
    const some = instances.slice(from, from + askedAtOnce).map((instance) => fill(context, instance));
    filled.push(...(await Promise.all(some)).flat());
  }
  return filled;
}

async function fill(context: ClientContext, instance: InstanceSummary): Promise<InstanceSummary[]> {
  const told = await askWorkflow(context, instanceWorkflowId(instance.instanceId));
  if (told === null) return [instance];
  const { parked } = waitsOf(told);
  return parked === undefined ? [] : [{ ...instance, host: told.host, parked }];
}
