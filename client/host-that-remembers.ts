import { EverbootFailure } from '../domain/failures.ts';
import { askEach } from './ask-hosts.ts';
import type { ClientContext } from './client-context.ts';
import { pollingHosts } from './hosts.ts';

/**
 * The host that has an instance of which Temporal knows nothing (any more); null: none of those on which it may be built.
 * An instance may have come to be on any of several hosts, so that each of them is asked before one begins anew. A host
 * that is the only one looks by itself.
 *
 * Throws HostUnreachable where none is known to have it, and one of them does not say; InstanceExists where files that are
 * not everboot's are in its place.
 */
export async function hostThatRemembers(
  context: ClientContext,
  instanceId: string,
  wanted: readonly string[] | null,
): Promise<string | null> {
  if (wanted?.length === 1) return null;
  const polling = await pollingHosts(context);
  // Where nobody polls at all, that is what has to be said.
  if (polling.length === 0 || (wanted === null && polling.length === 1)) return null;
  const hosts = wanted ?? polling;
  const silent = hosts.filter((host) => !polling.includes(host));
  const asked = hosts.filter((host) => polling.includes(host));
  try {
    const record = await askEach(context, instanceId, asked);
    if (record?.state === 'ready' || silent.length === 0) return record?.host ?? null;
    throw new EverbootFailure('HostUnreachable', `no worker of ${silent.join(', ')} asks for work`);
  } catch (error) {
    throw notKnown(instanceId, error);
  }
}

function notKnown(instanceId: string, error: unknown): unknown {
  if (!(error instanceof EverbootFailure)) return error;
  if (error.code === 'InstanceNotFound') return new EverbootFailure('InstanceExists', error.message);
  if (error.code !== 'HostUnreachable') return error;
  const words = `Temporal knows nothing of ${instanceId}, and one of its hosts may have it: ${error.message}`;
  return new EverbootFailure('HostUnreachable', words, {
    remedy:
      'Start the worker there, and then the same request again. Where the instance cannot be on that host, name another one: ' +
      'a single `host` instead of `hosts`.',
  });
}
