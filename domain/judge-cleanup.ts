import type { OperationFacts } from './judge-claim.ts';

/** The facts that a deferred cleanup finds on its host. */
export interface CleanupFacts {
  /** The orphans' operation; null: a deletion was abandoned, and everything of the instance is removed. */
  readonly operationId: string | null;
  /** The operations whose claims the host has of the instance. */
  readonly found: readonly string[];
  /** The operation that made the instance, where its record says that it is ready; null: it does not. */
  readonly ready: string | null;
  /** The instance's newest run, however it ended; null: Temporal knows none. Asked after `found` was. */
  readonly newest: OperationFacts | null;
}

export type CleanupVerdict =
  /** The operations whose orphans are removed. */
  | { readonly remove: readonly string[] }
  /** It is not decided yet, and why. */
  | { readonly wait: string };

/**
 * The claims whose orphans a deferred cleanup removes. An abandoned deletion may come after the instance was made
 * again; and an abandoned operation may own its files again, or have succeeded with them, where its run was reset.
 * Neither loses anything.
 */
export function judgeCleanup({ operationId, found, ready, newest }: CleanupFacts): CleanupVerdict {
  const open = newest?.outcome === 'open' ? newest : null;
  if (open !== null && open.operationId === null) return { wait: 'an operation runs that does not say which it is' };
  const isMade = newest !== null && newest.operation !== 'delete' && (open !== null || newest.outcome === 'succeeded');
  // A run that somebody else started does not name its operation; its record does.
  const kept = isMade ? (newest.operationId ?? ready) : null;
  if (operationId === null) return { remove: found.filter((operation) => operation !== kept) };
  if (open?.operationId === operationId) return { wait: 'the abandoned operation runs again' };
  return { remove: kept === operationId && ready === operationId ? [] : [operationId] };
}
