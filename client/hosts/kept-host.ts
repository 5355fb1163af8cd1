import type { FailureCode } from '../../domain/failures.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import type { OperationRun } from '../temporal/operation-run.ts';
import { failureCodeOf } from '../temporal/outcome.ts';

/**
 * The host that has an instance, or may have it, by how the last operation on it ended (`failedWith`, where it failed);
 * null: none has. As long as it is not null, a creation goes to that host and no other one, and so does a deletion:
 * there would be two of it otherwise. Whether the instance is really there, the host itself looks.
 *
 * A deletion that was not completed may have removed nothing. A creation that failed or was cancelled has taken back
 * what it made, or left it to a deferred cleanup; but one that was pinned to its host found the instance there, or
 * never reached that host, and one that was terminated took nothing back.
 */
export function keptHost(
  { memo, status }: Pick<OperationRun, 'memo' | 'status'>,
  failedWith: FailureCode | null,
): string | null {
  // A run that somebody else began does not say its host.
  const host = memo.host || null;
  if (memo.operation === 'delete') return status === 'completed' ? null : host;
  const isUndone = status === 'failed' || status === 'cancelled';
  const metAnother = failedWith === 'InstanceExists' || failedWith === 'NotManaged';
  return isUndone && memo.pinned !== true && !metAnother ? null : host;
}

/** As `keptHost`, of a run whose failure is asked for. Throws as `waitForOutcome`. */
export async function findKeptHost(context: ClientContext, last: OperationRun): Promise<string | null> {
  return keptHost(last, await failureCodeOf(context, last));
}

/** The remedy where the named host does not have the instance, and another one has it, or may have it. */
export function elsewhereRemedy(instanceId: string, host: string): string {
  return (
    `Delete it where it is: \`everboot delete ${instanceId}\`, without \`--host\`. If ${host} never comes back, ` +
    `abandon that deletion: \`everboot abandon ${instanceId} --host-gone\`. Then its id is free.`
  );
}
