import { isGrpcServiceError } from '@temporalio/client';
import { NamespaceNotFoundError } from '@temporalio/common';
import { EverbootFailure } from '../../domain/failures.ts';
import { searchAttributeNames } from '../../domain/operations.ts';
import type { ClientContext } from './client-context.ts';

/** How long one call may take, with the attempts that the SDK makes by itself. */
export const callTimeoutMs = 10_000;

/** gRPC’s status codes, as far as they are distinguished here (https://grpc.io/docs/guides/status-codes/). */
const grpcStatus = {
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  failedPrecondition: 9,
  unauthenticated: 16,
};

/** Codes that say that the server could not be asked; the question may be put again. */
const troubleCodes = new Set([grpcStatus.cancelled, grpcStatus.deadlineExceeded, 2, 8, 10, 13, 14]);

/**
 * Makes a call to Temporal within a time limit. Throws TemporalUnreachable when no answer came, and ConfigInvalid where
 * the server refused because of how the client or the namespace is set up. Every other error passes as it is.
 */
export async function callTemporal<Answer>(
  context: ClientContext,
  call: () => Promise<Answer>,
  timeoutMs = callTimeoutMs,
): Promise<Answer> {
  try {
    return await context.client.connection.withDeadline(Date.now() + timeoutMs, call);
  } catch (error) {
    throw failureOfCall(context, error);
  }
}

/** Whether a call failed because of the way to the server, and not because of the server’s answer. */
export function isConnectionTrouble(error: unknown): boolean {
  if (error instanceof EverbootFailure) return error.code === 'TemporalUnreachable';
  const status = grpcStatusOf(error);
  return status !== undefined && troubleCodes.has(status.code);
}

/** Whether Temporal refused a query since no worker has asked for work for a while, which it notices before we do. */
export function isWithoutPoller(error: unknown): boolean {
  return grpcStatusOf(error)?.code === grpcStatus.failedPrecondition;
}

/**
 * As Temporal's server 1.32 says that a namespace lacks a search attribute; the code alone says only that the call is
 * wrong.
 */
const missingAttribute = /search attribute/i;

function failureOfCall({ address, namespace }: ClientContext, error: unknown): unknown {
  if (error instanceof NamespaceNotFoundError) {
    return new EverbootFailure('ConfigInvalid', `the Temporal server at ${address} has no namespace "${namespace}"`, {
      remedy: `Set [temporal] namespace, or make it: temporal operator namespace create --namespace ${namespace}`,
    });
  }
  const status = grpcStatusOf(error);
  if (status === undefined) return error;
  const words = `the Temporal server at ${address}`;
  switch (status.code) {
    case grpcStatus.unauthenticated:
    case grpcStatus.permissionDenied:
      return new EverbootFailure('ConfigInvalid', `${words} refused this client: ${status.details}`, {
        remedy: 'Correct the API key, the certificate or the namespace of the Temporal profile.',
      });
    case grpcStatus.invalidArgument:
      if (!missingAttribute.test(status.details)) return error;
      return new EverbootFailure(
        'ConfigInvalid',
        `the namespace "${namespace}" lacks ${searchAttributeNames.join(', ')}`,
        {
          remedy: 'Start `everboot worker` once, which registers them, or have an administrator add them as keywords.',
        },
      );
    default:
      if (!troubleCodes.has(status.code)) return error;
      return new EverbootFailure('TemporalUnreachable', `${words} does not answer: ${status.details}`);
  }
}

/** The status of a call, which the SDK’s own errors carry as their cause. */
function grpcStatusOf(error: unknown): { readonly code: number; readonly details: string } | undefined {
  const candidate = isGrpcServiceError(error) ? error : (error as { cause?: unknown } | null)?.cause;
  if (!isGrpcServiceError(candidate)) return undefined;
  return { code: candidate.code, details: (candidate.details || candidate.message).slice(0, 300) };
}
