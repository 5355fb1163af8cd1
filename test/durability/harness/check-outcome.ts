import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { startWorkflow } from '../../../client/temporal/workflow-calls.ts';
import type { HostPaths } from '../../../domain/host-paths.ts';
import type { CreateInstanceInput, InstanceResult } from '../../../domain/operations.ts';
import { readInstanceRecord } from '../../../hypervisor/instance/instance-record.ts';
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
  const slate = slateOf(stage, input, paths);
  if (fault === 'lateBeside') await journal.until(step, 'late');
  let outcome: Outcome;
  journal.release('mended');
  if (end.kind === 'terminated' && kind === 'create' && step === 'markReady') {
    await checkReady(stage, procedure, input, paths);
    outcome = 'whole';
  } else if (end.kind === 'terminated' && (kind === 'create' || kind === 'undo')) {
    await sweep(stage, input, slate);
    outcome = 'swept';
  } else if (end.kind !== 'done' && kind === 'delete') {
    if (end.kind === 'failed') assert.equal(end.step, step);
    await (await startDelete(stage, input)).result();
    outcome = 'again';
  } else if (end.kind === 'done') {
    outcome = kind === 'create' ? 'whole' : 'gone';
    if (kind === 'create') await checkWhole(stage, given, { end, input, journal, paths });
  } else {
    if (end.kind === 'failed') checkFailure(given, end);
    outcome = end.kind === 'failed' ? 'undone' : 'cancelled';
    // What was to be cleared is there still.
    if (kind === 'cleanup') {
      await (await startDelete(stage, input)).result();
      outcome = 'again';
    }
  }
  if (fault === 'lateAfter' && kind !== 'create') {
    journal.release('on');
    await journal.until(step, 'late');
  }
  // What it was just noting of a base cannot be taken back on a disk that takes nothing: a sweep does it later.
  if (fault === 'breakDisk') await reconcile(stage, input);
  await slate();
  if (fault === 'lateAfter') {
    journal.release('later');
    await journal.until(step, 'later');
    await sweep(stage, input, slate);
  }
  return outcome;
}

function slateOf({ client }: Stage, { spec }: CreateInstanceInput, paths: HostPaths): () => Promise<void> {
  return async () => {
    await assertCleanSlate(paths, [spec.id]);
    await assertNothingRuns(client, paths, spec.id);
  };
}

async function assertLikeReference(stage: Stage, procedure: Procedure, made: InstanceResult): Promise<void> {
  const reference = stage.references.get(referenceOf(procedure));
  if (reference === undefined) throw new Error('there is no undisturbed run to compare with');
  await assertSameInstance(made, reference);
}

/**
 * A workflow that was terminated when the record said ready has left an instance, which no reconciliation takes away.
 */
async function checkReady(
  stage: Stage,
  procedure: Procedure,
  input: CreateInstanceInput,
  paths: HostPaths,
): Promise<void> {
  await reconcile(stage, input);
  const record = await readInstanceRecord(paths, input.spec.id);
  assert.equal(record?.state, 'ready');
  await assertLikeReference(stage, procedure, record.result as InstanceResult);
  await (await startDelete(stage, input)).result();
}

function checkFailure({ procedure, step, fault }: Case, { code, step: failed }: Exclude<End, { kind: 'done' }>): void {
  if (procedure.kind === 'undo') assert.deepEqual([code, failed], ['ProgramFailed', 'markReady']);
  // A step beside it may meet the full disk first, by a program that does not say what it lacks.
  else if (fault === 'fillDisk' && failed !== step)
    assert.ok(['InsufficientSpace', 'ProgramFailed'].includes(code ?? ''), `${failed}: ${code}`);
  else if (fault === 'fillDisk') assert.equal(code, 'InsufficientSpace', failed);
  else assert.deepEqual([code, failed], [fault === 'breakDisk' ? 'DomainStartFailed' : 'ProgramFailed', step]);
}

/** Compares with an undisturbed run, and deletes it. */
async function checkWhole(stage: Stage, { procedure, step, fault }: Case, ended: Ended): Promise<void> {
  const { end, input, journal } = ended;
  const { result } = end as { result: InstanceResult };
  await assertLikeReference(stage, procedure, result);
  if (fault === 'lateAfter') {
    journal.release('on');
    await journal.until(step, 'late');
    await assertLikeReference(stage, procedure, result);
  }
  await (await startDelete(stage, input)).result();
}

/**
 * Checks an operation that may have ended in any way: what it made is like an undisturbed instance, or nothing is left.
 */
export async function checkEnd(
  stage: Stage,
  procedure: Procedure,
  { end, input, paths }: Omit<Ended, 'journal'>,
): Promise<Outcome> {
  const slate = slateOf(stage, input, paths);
  if (end.kind === 'terminated') {
    // Where its last step had its effect the instance is ready, which no reconciliation takes away.
    const record = await readInstanceRecord(paths, input.spec.id);
    if (record?.state !== 'ready') {
      await sweep(stage, input, slate);
      return 'swept';
    }
    await checkReady(stage, procedure, input, paths);
    await slate();
    return 'whole';
  }
  if (end.kind === 'done') {
    await assertLikeReference(stage, procedure, end.result as InstanceResult);
    await (await startDelete(stage, input)).result();
  }
  await slate();
  if (end.kind === 'done') return 'whole';
  return end.kind === 'failed' ? 'undone' : 'cancelled';
}

/**
 * Has the host reconciled, and its cache swept, until nothing is left: steps of an operation that was terminated are
 * cancelled only by their next heartbeat, and until then they hold what they make.
 */
async function sweep(stage: Stage, input: CreateInstanceInput, slate: () => Promise<void>): Promise<void> {
  for (let left = 20; ; left -= 1) {
    await reconcile(stage, input);
    try {
      return await slate();
    } catch (error) {
      if (left === 0) throw error;
      await sleep(1000);
    }
  }
}

async function reconcile({ client }: Stage, { host }: CreateInstanceInput): Promise<void> {
  for (const maintenance of ['reconcileHost', 'sweepCache'] as const) {
    const options = { workflowId: `host/${host}/${maintenance}` };
    await (await startWorkflow(client, maintenance, { host, dryRun: false }, options)).result();
  }
}
