import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OperationFacts } from '../../domain/judge-claim.ts';
import { type GuestFacts, type GuestVerdict, judgeGuest } from '../../domain/judge-guest.ts';

function run(outcome: OperationFacts['outcome'], more: Partial<OperationFacts> = {}): OperationFacts {
  return { operation: 'create', operationId: 'own', host: 'here', outcome, sinceMs: 0, ...more };
}

const known = { host: 'here', wanted: true, isBeingCleared: false } as const;
const ran: GuestFacts = { ...known, domain: 'shut off', wasOff: false, newest: run('succeeded') };

const deletedThere = { operation: 'delete', host: 'there' };
const byHand = { operation: 'delete', host: null };

const cases: readonly (readonly [string, Partial<GuestFacts>, GuestVerdict])[] = [
  ['it ran', {}, 'start'],
  ['it ran, and Temporal has forgotten it', { newest: null }, 'start'],
  ['it ran, and a later operation failed elsewhere', { newest: run('failed', { host: 'there' }) }, 'start'],
  ['libvirt has started it by itself', { domain: 'running' }, 'runs already'],
  ['it was never to run', { wanted: false }, 'not wanted'],
  ['it was off', { wasOff: true }, { leftOff: 'it was shut off when it was last seen' }],
  ['its domain is gone', { domain: null }, { leftOff: 'libvirt has no domain with its claim' }],
  ['it is being deleted', { newest: run('open', { operation: 'delete' }) }, { leftOff: 'it is being deleted' }],
  [
    'its deletion failed',
    { newest: run('failed', { operation: 'delete' }) },
    { leftOff: 'somebody wanted it deleted' },
  ],
  [
    'a deferred cleanup is about to remove it',
    { isBeingCleared: true },
    { leftOff: 'it was abandoned, and a deferred cleanup is removing it' },
  ],
  [
    'a deferred cleanup is about to remove it, and Temporal has forgotten its runs',
    { isBeingCleared: true, newest: null },
    { leftOff: 'it was abandoned, and a deferred cleanup is removing it' },
  ],
  ['its deletion by hand says no host', { newest: run('failed', byHand) }, { leftOff: 'somebody wanted it deleted' }],
  ...(['open', 'failed', 'cancelled', 'terminated'] as const).map(
    (outcome) =>
      [
        `its deletion on another host is ${outcome}`,
        { newest: run(outcome, deletedThere) },
        { leftOff: 'the host there may have it by now' },
      ] as const,
  ),
  ['it was deleted on another host', { newest: run('succeeded', deletedThere) }, 'start'],
  ['another host builds it', { newest: run('open', { host: 'there' }) }, { leftOff: 'the host there has it by now' }],
  ['another host has it', { newest: run('succeeded', { host: 'there' }) }, { leftOff: 'the host there has it by now' }],
];
for (const [title, given, verdict] of cases) {
  test(`${title}: ${typeof verdict === 'string' ? verdict : 'left off'}`, () => {
    assert.deepEqual(judgeGuest({ ...ran, ...given }), verdict);
  });
}
