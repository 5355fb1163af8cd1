import { EverbootFailure } from '../../domain/failures.ts';
import { workflowTaskQueue } from '../../domain/task-queues.ts';
import { callTemporal } from '../temporal/call-temporal.ts';
import type { ClientContext } from '../temporal/client-context.ts';

/** A worker asks for work at least once a minute; one that has not for longer than this is gone. */
const seenWithinMs = 75_000;

/** How a host’s worker calls itself: `everboot/<host>/<pid>`. */
const workerIdentity = /^everboot\/(.+)\/\d+$/;

const workflowTaskQueueType = 1;

/** The hosts whose workers ask for work, in order of their names. A worker that was killed is seen for 75 s more. */
export async function pollingHosts(context: ClientContext): Promise<readonly string[]> {
  const hosts = (await pollers(context)).flatMap((identity) => workerIdentity.exec(identity)?.[1] ?? []);
  return [...new Set(hosts)].sort();
}

/** As `pollingHosts`; throws HostUnreachable when there is none. */
export async function somePollingHosts(context: ClientContext): Promise<readonly [string, ...string[]]> {
  const [first, ...others] = await pollingHosts(context);
  if (first === undefined) throw nobodyPolls(context);
  return [first, ...others];
}

/** Throws HostUnreachable when nobody would even read what is started: it would wait indefinitely without a word. */
export async function checkSomebodyPolls(context: ClientContext): Promise<void> {
  if ((await pollers(context)).length === 0) throw nobodyPolls(context);
}

/** Throws HostUnreachable when no worker of any of these hosts asks for work. */
export async function checkOnePolls(context: ClientContext, hosts: readonly string[]): Promise<void> {
  const polling = await somePollingHosts(context);
  if (hosts.some((host) => polling.includes(host))) return;
  throw new EverbootFailure('HostUnreachable', `no worker of ${hosts.join(', ')} asks for work`, {
    remedy: `Start \`everboot worker\` on one of them, or name others; these ask for work: ${polling.join(', ')}.`,
  });
}

/** The only host there is. Throws HostUnreachable when none polls, SpecInvalid naming the hosts when several do. */
export async function theOnlyHost(context: ClientContext): Promise<string> {
  const hosts = await somePollingHosts(context);
  const [host] = hosts;
  if (hosts.length === 1) return host;
  throw new EverbootFailure('SpecInvalid', `the request names no host, and ${hosts.length} hosts poll`, {
    problems: [`host: one of ${hosts.slice(0, 50).join(', ')} was expected`],
    remedy: 'Name the host, in the spec or with --host.',
  });
}

function nobodyPolls({ address, namespace }: ClientContext): EverbootFailure {
  return new EverbootFailure(
    'HostUnreachable',
    `no worker asks for work at ${address} in the namespace "${namespace}"`,
    { remedy: 'Start `everboot up` or `everboot worker` on the host, then start the same request again.' },
  );
}

async function pollers(context: ClientContext): Promise<string[]> {
  const { namespace, client } = context;
  const { pollers } = await callTemporal(context, () =>
    client.workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name: workflowTaskQueue },
      taskQueueType: workflowTaskQueueType,
    }),
  );
  const oldest = Date.now() - seenWithinMs;
  return (pollers ?? [])
    .filter(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) * 1000 >= oldest)
    .flatMap(({ identity }) => identity ?? []);
}
