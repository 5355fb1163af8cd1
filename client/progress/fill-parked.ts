import { instanceWorkflowId } from '../../domain/operations.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { askWorkflow, type ParkedView, waitsOf } from './read-progress.ts';

/** How many workflows are asked at a time. */
const askedAtOnce = 10;

interface ListedInstance {
  readonly instanceId: string;
  readonly host: string;
}

type Filled<Listed> = Listed & { readonly parked?: ParkedView };

/**
 * Adds to a list of parked instances why each is parked, which only its workflow knows. One that is not parked any more
 * is left out; one whose workflow does not answer stays, without its reason.
 */
export async function fillParked<Listed extends ListedInstance>(
  context: ClientContext,
  instances: readonly Listed[],
): Promise<Filled<Listed>[]> {
  const filled: Filled<Listed>[] = [];
  for (let from = 0; from < instances.length; from += askedAtOnce) {
    const some = instances.slice(from, from + askedAtOnce).map((instance) => fill(context, instance));
    filled.push(...(await Promise.all(some)).flat());
  }
  return filled;
}

async function fill<Listed extends ListedInstance>(
  context: ClientContext,
  instance: Listed,
): Promise<Filled<Listed>[]> {
  const reported = await askWorkflow(context, instanceWorkflowId(instance.instanceId));
  if (reported === null) return [instance];
  const { parked } = waitsOf(reported);
  return parked === undefined ? [] : [{ ...instance, host: reported.host, parked }];
}
