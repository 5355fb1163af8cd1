import { EverbootFailure } from '../../domain/failures.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { askEach } from './ask-hosts.ts';
import { pollingHosts } from './hosts.ts';

/**
 * The host that has an instance of which Temporal knows nothing (any more); null: none that answers. It may have come
 * to be on any of several hosts, so that each of them that polls is asked before the instance is built again. A host that does
 * not answer keeps nobody from building elsewhere: that is what several hosts are named for. A host that is the only
 * one looks by itself.
 *
 * Throws NotManaged where files that are not everboot's are in its place.
 */
export async function hostThatRemembers(
  context: ClientContext,
  instanceId: string,
  wanted: readonly string[] | null,
): Promise<string | null> {
  if (wanted?.length === 1) return null;
  const polling = await pollingHosts(context);
  // A request that names none is refused where several poll, unless one of them has the instance.
  if (wanted === null && polling.length < 2) return null;
  try {
    const record = await askEach(context, instanceId, wanted?.filter((host) => polling.includes(host)) ?? polling);
    return record?.host ?? null;
  } catch (error) {
    if (!(error instanceof EverbootFailure)) throw error;
    if (error.code === 'HostUnreachable') return null;
    throw error;
  }
}
