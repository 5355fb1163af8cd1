import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { EverbootFailure } from '../../domain/failures.ts';
import { instanceWorkflowId, type OperationMemo, type Phase } from '../../domain/operations.ts';
import type { OperationName, WorkflowInput } from '../../domain/workflows.ts';
import { callTemporal } from '../temporal/call-temporal.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { attributeKey } from '../temporal/operation-run.ts';
import { startWorkflow } from '../temporal/workflow-calls.ts';

/** Temporal refuses 2 MiB, and its SDK would try again indefinitely; the rest is room for what a retry adds. */
const maxInputBytes = 1.5 * 1024 * 1024;

/** Temporal’s limits for the texts that its UI shows, in bytes. */
const maxSummaryBytes = 400;
const maxDetailsBytes = 20_000;

/** Keywords longer than this do not fit into the columns of some visibility stores. */
const maxKeywordLength = 200;

export interface OperationToStart<Name extends OperationName> {
  readonly instanceId: string;
  readonly workflowType: Name;
  readonly input: WorkflowInput<Name>;
  readonly memo: OperationMemo;
  readonly phase: Phase;
  readonly image?: string;
  /** One line, and some Markdown, for the Temporal UI. */
  readonly summary: string;
  readonly details: string;
}

/**
 * Starts an operation on an instance and returns its run’s id; null when one is running already, which the server
 * decides and nobody else. Throws SpecInvalid for an input that is too large for a history.
 */
export async function startOperation<Name extends OperationName>(
  context: ClientContext,
  operation: OperationToStart<Name>,
): Promise<string | null> {
  const { instanceId, workflowType, input, memo, phase, image } = operation;
  checkInputSize(input);
  try {
    const handle = await callTemporal(context, () =>
      startWorkflow(context.client, workflowType, input, {
        workflowId: instanceWorkflowId(instanceId),
        workflowIdConflictPolicy: 'FAIL',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        memo: { ...memo },
        typedSearchAttributes: [
          { key: attributeKey('EverbootHost'), value: memo.host.slice(0, maxKeywordLength) },
          { key: attributeKey('EverbootPhase'), value: phase },
          ...(memo.name === undefined ? [] : [{ key: attributeKey('EverbootName'), value: memo.name }]),
          ...(image === undefined
            ? []
            : [{ key: attributeKey('EverbootImage'), value: image.slice(0, maxKeywordLength) }]),
        ],
        staticSummary: clip(operation.summary, maxSummaryBytes),
        staticDetails: clip(operation.details, maxDetailsBytes),
      }),
    );
    return handle.firstExecutionRunId;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return null;
    throw error;
  }
}

/** Throws SpecInvalid for what is too large for a history. */
export function checkInputSize(input: object): void {
  const sizeBytes = Buffer.byteLength(JSON.stringify(input));
  if (sizeBytes <= maxInputBytes) return;
  throw new EverbootFailure('SpecInvalid', `the request has ${sizeBytes} bytes; ${maxInputBytes} is the limit`, {
    remedy: 'Fetch large things from inside the guest instead of sending them in the spec.',
  });
}

/** The longest beginning of a text that has at most so many bytes. */
function clip(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  return bytes.toString('utf8', 0, maxBytes - 4).replace(/�+$/, '');
}
