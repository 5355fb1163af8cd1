import { randomUUID } from 'node:crypto';
import { WorkflowFailedError } from '@temporalio/client';
import { EverbootFailure, type FailureCode } from '../../domain/failures.ts';
import type { InstanceRecord } from '../../domain/instance-record.ts';
import { callTemporal } from '../temporal/call-temporal.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { operationFailure } from '../temporal/operation-failure.ts';
import { attributeKey } from '../temporal/operation-run.ts';
import { startWorkflow } from '../temporal/workflow-calls.ts';
import { checkSomebodyPolls, somePollingHosts } from './hosts.ts';

/** More hosts than this are not asked one by one; one of them has to be named. */
const maxHostsAsked = 32;

/** Longer than the workflow itself waits for a host that is not there. */
const answerTimeoutMs = 60_000;

/**
 * Asks hosts for their record of an instance that Temporal has forgotten: the one that is named, or all that poll.
 * Null: none of them has it. Throws what `askEach` throws, and HostUnreachable when nobody polls.
 */
export async function askHosts(
  context: ClientContext,
  instanceId: string,
  host: string | undefined,
): Promise<InstanceRecord | null> {
  if (host === undefined) return await askEach(context, instanceId, await somePollingHosts(context));
  await checkSomebodyPolls(context);
  return await askEach(context, instanceId, [host]);
}

/**
 * Asks each of these hosts. Of several records a ready instance's is the one that counts: what a build has left on a
 * host, from where it moved to another one, has a record, too. Throws HostUnreachable when no ready instance was found
 * and not every host answered; SpecInvalid for too many hosts.
 */
export async function askEach(
  context: ClientContext,
  instanceId: string,
  hosts: readonly string[],
): Promise<InstanceRecord | null> {
  if (hosts.length > maxHostsAsked) {
    throw new EverbootFailure('SpecInvalid', `${hosts.length} hosts poll, which is too many to ask each of them`, {
      remedy: 'Name the host with --host.',
    });
  }
  const answers = await Promise.allSettled(hosts.map((name) => askHost(context, instanceId, name)));
  const found = answers.flatMap((answer) =>
    answer.status === 'fulfilled' && answer.value !== null ? [answer.value] : [],
  );
  const ready = found.find(({ state }) => state === 'ready');
  if (ready !== undefined) return ready;
  const refused = answers.find((answer) => answer.status === 'rejected');
  if (refused !== undefined) throw refused.reason;
  return found[0] ?? null;
}

async function askHost(context: ClientContext, instanceId: string, host: string): Promise<InstanceRecord | null> {
  const workflowId = `inspect/${instanceId}/${randomUUID()}`;
  const handle = await callTemporal(context, () =>
    startWorkflow(
      context.client,
      'inspectInstance',
      { host, instanceId },
      {
        workflowId,
        workflowExecutionTimeout: answerTimeoutMs,
        typedSearchAttributes: [{ key: attributeKey('EverbootHost'), value: host }],
        staticSummary: `read the record of ${instanceId} on ${host}`.slice(0, 200),
      },
    ),
  );
  try {
    return await callTemporal(context, () => handle.result(), answerTimeoutMs + 5000);
  } catch (error) {
    if (error instanceof WorkflowFailedError) throw toFailure(instanceId, host, error.cause);
    throw error;
  }
}

/** Ends of the question that are no answer of the host's: its time was over, or somebody terminated it. */
const noAnswer: ReadonlySet<FailureCode> = new Set(['InternalError', 'Terminated', 'UnknownCode']);

function toFailure(instanceId: string, host: string, cause: unknown): EverbootFailure {
  const failure = operationFailure(instanceId, cause);
  if (!noAnswer.has(failure.code)) return failure;
  return new EverbootFailure('HostUnreachable', `${host} did not say whether it has ${instanceId}: ${failure.message}`);
}
