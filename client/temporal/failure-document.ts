import { type EverbootFailure, type FailureCode, failureKind } from '../../domain/failures.ts';

/** A failure of an operation that ran: where it happened, beside what every failure says. */
export type OperationFailure = EverbootFailure & {
  readonly instanceId: string;
  readonly step?: string;
  /** True: the operation has not ended, it waits for an operator with what it has made. */
  readonly parked?: true;
};

/** How failures look in JSON. */
export interface FailureDocument {
  readonly code: FailureCode;
  readonly message: string;
  readonly remedy: string;
  /**
   * Whether the same request may succeed later unchanged. What is parked waits for a decision: the request only joins
   * it.
   */
  readonly retryable: boolean;
  readonly instanceId?: string;
  readonly step?: string;
  readonly problems?: readonly string[];
  /** See `OperationFailure`. */
  readonly parked?: true;
}

/** A failure as a document. What an operation failed with also says on which instance, and in which step. */
export function failureDocument(failure: EverbootFailure | OperationFailure): FailureDocument {
  const { code, message, remedy, problems } = failure;
  const { retryable, mayPass = false } = failureKind(code);
  const { instanceId, step, parked } = failure as Partial<OperationFailure>;
  return {
    ...{ code, message, remedy, retryable: parked !== true && (retryable || mayPass) },
    ...(instanceId === undefined ? {} : { instanceId }),
    ...(step === undefined ? {} : { step }),
    ...(problems.length === 0 ? {} : { problems }),
    ...(parked === undefined ? {} : { parked }),
  };
}
