import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OperationFacts } from '../../domain/judge-claim.ts';
import { type CleanupFacts, judgeCleanup } from '../../domain/judge-cleanup.ts';

function run(outcome: OperationFacts['outcome'], more: Partial<OperationFacts> = {}): OperationFacts {
  return { operation: 'create', operationId: 'new', host: 'here', outcome, sinceMs: 0, ...more };
}

const wait = 'wait';
const deletion = { operation: 'delete' };
const old = { operationId: 'old' };

/** Cases of an abandoned deletion, on a host with claims of two operations: the claims whose orphans are removed. */
const ofDeletions: readonly (readonly [string, Partial<CleanupFacts>, readonly string[] | 'wait'])[] = [
  ['its own run was the last one', { newest: run('succeeded', deletion), ready: 'old' }, ['old', 'new']],
  ['Temporal knows nothing', { newest: null, ready: 'old' }, ['old', 'new']],
  ['the instance is being made again', { newest: run('open') }, ['old']],
  ['the instance was made again, and is ready', { newest: run('succeeded'), ready: 'new' }, ['old']],
  ['the instance was made again elsewhere', { newest: run('succeeded', { host: 'there' }) }, ['old']],
  ['making it again failed', { newest: run('failed') }, ['old', 'new']],
  ['making it again was terminated', { newest: run('terminated') }, ['old', 'new']],
  ['it is being deleted again', { newest: run('open', deletion), ready: 'new' }, ['old', 'new']],
  ['something runs that does not say what', { newest: run('open', { operationId: null }), ready: 'new' }, wait],
  ['somebody made it again by hand', { newest: run('succeeded', { operationId: null }), ready: 'new' }, ['old']],
];
for (const [title, given, expected] of ofDeletions) {
  test(`an abandoned deletion, and ${title}: ${expected}`, () => {
    const facts = { operationId: null, found: ['old', 'new'], ready: null, newest: null, ...given };
    const verdict = judgeCleanup(facts);
    assert.deepEqual('wait' in verdict ? wait : verdict.remove, expected);
  });
}

/** Cases of an abandoned operation. */
const ofOperations: readonly (readonly [string, Partial<CleanupFacts>, readonly string[] | 'wait'])[] = [
  ['it failed', { newest: run('failed', old) }, ['old']],
  ['it failed after all was ready', { newest: run('failed', old), ready: 'old' }, ['old']],
  ['it continued elsewhere', { newest: run('open', { host: 'there' }) }, ['old']],
  [
    'it succeeded elsewhere, with all ready here',
    { newest: run('succeeded', { host: 'there' }), ready: 'old' },
    ['old'],
  ],
  ['Temporal has forgotten it', { newest: null }, ['old']],
  ['its run was reset, and is open', { newest: run('open', old) }, wait],
  ['its run was reset, and made it', { newest: run('succeeded', old), ready: 'old' }, []],
  ['its run was reset, and made it elsewhere', { newest: run('succeeded', old) }, ['old']],
  ['something runs that does not say what', { newest: run('open', { operationId: null }) }, wait],
];
for (const [title, given, expected] of ofOperations) {
  test(`an abandoned operation, and ${title}: ${expected}`, () => {
    const verdict = judgeCleanup({ operationId: 'old', found: [], ready: null, newest: null, ...given });
    assert.deepEqual('wait' in verdict ? wait : verdict.remove, expected);
  });
}
