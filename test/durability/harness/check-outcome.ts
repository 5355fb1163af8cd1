import assert from 'node:assert/strict';
import type { HostPaths } from '../../../domain/host-paths.ts';
import type { CreateInstanceInput, InstanceResult } from '../../../domain/operations.ts';
import { assertCleanSlate, assertNothingRuns } from '../../fixtures/clean-slate.ts';
import type { FaultName, Outcome } from './faults.ts';
import type { Journal } from './journal.ts';
import { type End, startDelete } from './operations.ts';
import type { Procedure, Step } from './procedures.ts';
import { assertSameInstance } from './same-instance.ts';
import { referenceOf, type Stage } from './stage.ts';

export interface Case {
  readonly procedure: Procedure;
  readonly step: Step;
  readonly fault: FaultName;
}

export interface Ended {
  readonly end: End;
  readonly input: CreateInstanceInput;
  readonly journal: Journal;
  readonly paths: HostPaths;
}

/** Names how it ended, having checked that it is so. In the end nothing is left in any case. */
export async function checkOutcome(stage: Stage, given: Case, { end, input, journal, paths }: Ended): Promise<Outcome> {
  const { procedure, step, fault } = given;
  const { kind } = procedure;
  const slate = async (): Promise<void> => {
    await assertCleanSlate(paths, [input.spec.id]);
    await assertNothingRuns(stage.client, paths, input.spec.id);
  };
  if (fault === 'lateBeside') await journal.until(step, 'late');
  let outcome: Outcome;
  if (end.kind === 'terminated') {
    await sweep(stage, input);
    outcome = 'swept';
  } else if (kind === 'delete' && end.kind !== 'done') {
    assert.ok(end.kind === 'cancelled' || end.step === step, JSON.stringify(end));
    await (await startDelete(stage, input)).result();
    outcome = 'again';
  } else if (end.kind === 'done') {
    outcome = kind === 'create' ? 'whole' : 'gone';
    if (kind === 'create') await checkWhole(stage, given, { end, input, journal, paths });
  } else {
    outcome = end.kind === 'failed' ? 'undone' : 'cancelled';
    if (end.kind === 'failed') checkFailure(given, end);
    // What was to be cleared, and was not because that was cancelled, is there still.
    if (kind === 'clear') await (await startDelete(stage, input)).result();
  }
  if (fault === 'lateAfter' && kind !== 'create') {
    journal.letGo('on');
    await journal.until(step, 'late');
  }
  await slate();
  if (fault === 'lateAfter') {
    journal.letGo('later');
    await journal.until(step, 'later');
    await sweep(stage, input);
    await slate();
  }
  return outcome;
}

function checkFailure({ procedure, step, fault }: Case, { code, step: failed }: Exclude<End, { kind: 'done' }>): void {
  if (procedure.kind === 'undo') assert.deepEqual([code, failed], ['ProgramFailed', 'markReady']);
  else if (fault === 'fillDisk') assert.equal(code, 'InsufficientSpace', failed);
  else assert.deepEqual([code, failed], ['ProgramFailed', step]);
}

/** Compares with an undisturbed run, and deletes it. */
async function checkWhole(stage: Stage, { procedure, step, fault }: Case, ended: Ended): Promise<void> {
  const { end, input, journal } = ended;
  const { result } = end as { result: InstanceResult };
  const reference = stage.references.get(referenceOf(procedure));
  assert.ok(reference !== undefined, 'there is an undisturbed run to compare with');
  await assertSameInstance(result, reference);
  if (fault === 'lateAfter') {
    journal.letGo('on');
    await journal.until(step, 'late');
    await assertSameInstance(result, reference);
  }
  await (await startDelete(stage, input)).result();
}

/** What clears after an operation that was terminated, or whose late step came after its end. */
async function sweep(stage: Stage, input: CreateInstanceInput): Promise<void> {
  await (await startDelete(stage, input)).result();
}
