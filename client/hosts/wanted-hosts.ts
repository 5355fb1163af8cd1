import { EverbootFailure } from '../../domain/failures.ts';
import type { InstanceSpec } from '../../domain/spec.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { checkOnePolls, checkSomebodyPolls, theOnlyHost } from './hosts.ts';

/**
 * The hosts that a request names, in the order in which they are tried; null: it leaves that open. `named` is a host
 * beside the spec. Throws SpecInvalid when the two say different things.
 */
export function wantedHosts(
  { host, hosts }: Pick<InstanceSpec, 'host' | 'hosts'>,
  named: string | undefined,
): readonly string[] | null {
  const inSpec = hosts ?? (host === undefined ? null : [host]);
  if (named === undefined || inSpec === null) return named === undefined ? inSpec : [named];
  if (host === named) return inSpec;
  const asked = hosts === undefined ? `host: "${host}"` : `hosts: ${hosts.join(', ')}`;
  throw new EverbootFailure(
    'SpecInvalid',
    `the request names two hosts: ${inSpec.join(', ')} in the spec, ${named} beside it`,
    {
      problems: [`${asked} in the spec, "${named}" beside it`],
    },
  );
}

/**
 * Where a creation begins, and where it may continue when a host is gone. An instance that may be kept on a host
 * (`keptOn`) goes nowhere else, since there would be two of it.
 *
 * Throws HostUnreachable when nobody polls, or none of several hosts does; SpecInvalid when none is named and several
 * poll.
 */
export async function hostsToTry(
  context: ClientContext,
  { wanted, keptOn }: { readonly wanted: readonly string[] | null; readonly keptOn: string | null },
): Promise<readonly [host: string, ...others: string[]]> {
  const [first, ...others] = keptOn === null ? (wanted ?? []) : [keptOn];
  if (first === undefined) return [await theOnlyHost(context)];
  if (others.length > 0) await checkOnePolls(context, [first, ...others]);
  else await checkSomebodyPolls(context);
  return [first, ...others];
}
