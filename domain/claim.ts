import { isInstanceId } from './host-paths.ts';

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

/**
 * Whether both ids are what they must be, as of a claim that was read from something that everboot did not just write.
 */
export function isClaim(claim: Partial<Claim> | undefined): claim is Claim {
  return isInstanceId(String(claim?.instanceId)) && isInstanceId(String(claim?.operationId));
}
