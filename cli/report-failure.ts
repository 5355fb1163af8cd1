import { failureDocument } from '../client/temporal/failure-document.ts';
import type { EverbootFailure } from '../domain/failures.ts';
import { printable } from './output.ts';
import { waysOn } from './waiting-text.ts';

/** Says what went wrong: one document for programs, a few lines on standard error for people. */
export function reportFailure(failure: EverbootFailure, json: boolean): void {
  const error = failureDocument(failure);
  if (json) process.stdout.write(`${JSON.stringify({ error })}\n`);
  const where = error.step === undefined ? '' : ` in ${error.step}`;
  const lines = [
    `error: ${error.message}`,
    ...(error.problems ?? []).map((problem) => `  - ${problem}`),
    `code: ${error.code}${where}`,
    `what to do: ${error.remedy}`,
    ...(error.parked === true && error.instanceId !== undefined ? parkedLines(error.instanceId, error.code) : []),
  ];
  process.stderr.write(`${lines.map(printable).join('\n')}\n`);
}

function parkedLines(instanceId: string, code: string): string[] {
  return ['parked; it waits for an operator, and keeps its finished steps:', waysOn(instanceId, code)];
}
