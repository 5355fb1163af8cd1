import { EverbootFailure } from '../../domain/failures.ts';
import type { OperationFailure } from './failure-document.ts';
import { about } from './operation-failure.ts';

/** The failure of a deletion; where its host did not answer, with the remedy for that. */
export function deletionFailure(failure: OperationFailure): OperationFailure {
  const { code, message, problems, instanceId, step } = failure;
  if (code !== 'HostUnreachable') return failure;
  const remedy =
    'Start `everboot worker` on that host, and delete again; where it never comes back: ' +
    `everboot abandon ${instanceId} --host-gone`;
  return about(instanceId, new EverbootFailure(code, message, { problems, remedy }), step);
}
