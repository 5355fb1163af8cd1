/**
 * Who took something: every directory, cache entry and domain carries the claim of the instance and of the operation
 * that made it. Undo removes only what carries its own claim. The operation's id comes with the operation's input; it
 * is not Temporal's run id, which a reset changes.
 */
export interface Claim {
  readonly instanceId: string;
  readonly operationId: string;
}

/** The claim as one file name. Both ids are UUIDs, checked where they came in, so no separator can occur in them. */
export function claimName(claim: Claim): string {
  return `${claim.instanceId}~${claim.operationId}`;
}
