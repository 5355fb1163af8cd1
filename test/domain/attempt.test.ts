import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AttemptEvent,
  type AttemptState,
  isGivenUp,
  type Made,
  newAttempt,
  nextAttempt,
} from '../../domain/attempt.ts';
import type { RequestedInstance } from '../../domain/operations.ts';

type StateName = AttemptState['at'];
type EventName = AttemptEvent['kind'];

const request = { specDigest: 'of the changed request' } as RequestedInstance;
const failure = 'what the attempt was stopped by';
const facts = { leaves: 'files', mayMove: true, holds: true } as const;

/** One of each state; the compiler asks for one that is missing, and so do the tests' titles. */
const states: { readonly [At in StateName]: Extract<AttemptState, { at: At }> } = {
  building: { at: 'building', ...facts },
  parked: { at: 'parked', ...facts, failure },
  undoing: { at: 'undoing', leaves: 'files', failure, end: { at: 'failed', failure } },
  made: { at: 'made' },
  failed: { at: 'failed', failure },
  changed: { at: 'changed', request },
  unreachable: { at: 'unreachable', leaves: 'files' },
  gone: { at: 'gone', leaves: 'files' },
};

const events: { readonly [Kind in EventName]: Extract<AttemptEvent, { kind: Kind }> } = {
  leaves: { kind: 'leaves', leaves: 'domain' },
  guestStarts: { kind: 'guestStarts' },
  made: { kind: 'made' },
  failed: { kind: 'failed', failure: 'a failed step', isUnreachable: false },
  cancelled: { kind: 'cancelled', failure: 'a cancellation' },
  retried: { kind: 'retried' },
  changed: { kind: 'changed', request },
  abandoned: { kind: 'abandoned' },
  undone: { kind: 'undone' },
  hostUnreachable: { kind: 'hostUnreachable' },
  hostGone: { kind: 'hostGone' },
};

/** `stays`: the event means nothing there. */
type Cell = 'stays' | AttemptState;

const cancelled: AttemptState = {
  at: 'undoing',
  leaves: 'files',
  failure: 'a cancellation',
  end: { at: 'failed', failure: 'a cancellation' },
};
const inAnEnd: Record<EventName, Cell> = {
  leaves: 'stays',
  guestStarts: 'stays',
  made: 'stays',
  failed: 'stays',
  cancelled: 'stays',
  retried: 'stays',
  changed: 'stays',
  abandoned: 'stays',
  undone: 'stays',
  hostUnreachable: 'stays',
  hostGone: 'stays',
};

const table: Record<StateName, Record<EventName, Cell>> = {
  building: {
    leaves: { ...states.building, leaves: 'domain' },
    guestStarts: { ...states.building, mayMove: false },
    made: { at: 'made' },
    failed: { at: 'parked', ...facts, failure: 'a failed step' },
    cancelled,
    retried: 'stays',
    changed: 'stays',
    abandoned: 'stays',
    undone: 'stays',
    hostUnreachable: { at: 'unreachable', leaves: 'files' },
    hostGone: { at: 'gone', leaves: 'files' },
  },
  parked: {
    leaves: 'stays',
    guestStarts: 'stays',
    made: 'stays',
    failed: 'stays',
    cancelled,
    retried: { at: 'building', ...facts },
    changed: { at: 'undoing', leaves: 'files', failure, end: { at: 'changed', request } },
    abandoned: { at: 'undoing', leaves: 'files', failure, end: { at: 'failed', failure } },
    undone: 'stays',
    hostUnreachable: 'stays',
    hostGone: { at: 'gone', leaves: 'files', failure },
  },
  undoing: {
    leaves: 'stays',
    guestStarts: 'stays',
    made: 'stays',
    failed: 'stays',
    cancelled: 'stays',
    retried: 'stays',
    changed: 'stays',
    abandoned: 'stays',
    undone: { at: 'failed', failure },
    hostUnreachable: 'stays',
    hostGone: { at: 'gone', leaves: 'files', failure },
  },
  made: inAnEnd,
  failed: inAnEnd,
  changed: inAnEnd,
  unreachable: inAnEnd,
  gone: inAnEnd,
};

for (const at of Object.keys(states) as StateName[]) {
  for (const kind of Object.keys(events) as EventName[]) {
    const cell: Cell | undefined = table[at]?.[kind];
    test(`an attempt that is ${at} meets ${kind}: ${typeof cell === 'object' ? cell.at : cell}`, () => {
      assert.ok(cell !== undefined, `the table has no cell for ${kind} in ${at}`);
      assert.deepEqual(nextAttempt(states[at], events[kind]), cell === 'stays' ? states[at] : cell);
    });
  }
}

/**
 * All that an attempt knows when a step fails permanently: what it leaves, whether it may move, what it does then, and
 * why.
 */
type FailureCase = `${Made}, ${'moves' | 'stays'}, ${'undoes' | 'holds'}, ${'unreachable' | 'refused'}`;

const failures: Record<FailureCase, 'failed' | 'parked' | 'unreachable'> = {
  'nothing, moves, undoes, unreachable': 'unreachable',
  'nothing, moves, undoes, refused': 'failed',
  'nothing, moves, holds, unreachable': 'unreachable',
  'nothing, moves, holds, refused': 'parked',
  'nothing, stays, undoes, unreachable': 'failed',
  'nothing, stays, undoes, refused': 'failed',
  'nothing, stays, holds, unreachable': 'parked',
  'nothing, stays, holds, refused': 'parked',
  'files, moves, undoes, unreachable': 'failed',
  'files, moves, undoes, refused': 'failed',
  'files, moves, holds, unreachable': 'parked',
  'files, moves, holds, refused': 'parked',
  'files, stays, undoes, unreachable': 'failed',
  'files, stays, undoes, refused': 'failed',
  'files, stays, holds, unreachable': 'parked',
  'files, stays, holds, refused': 'parked',
  'domain, moves, undoes, unreachable': 'failed',
  'domain, moves, undoes, refused': 'failed',
  'domain, moves, holds, unreachable': 'parked',
  'domain, moves, holds, refused': 'parked',
  'domain, stays, undoes, unreachable': 'failed',
  'domain, stays, undoes, refused': 'failed',
  'domain, stays, holds, unreachable': 'parked',
  'domain, stays, holds, refused': 'parked',
};

for (const [which, expected] of Object.entries(failures)) {
  test(`a failed step leads to ${expected} (${which})`, () => {
    const [leaves, moves, does, why] = which.split(', ');
    const started = newAttempt({ mayMove: moves === 'moves', holds: does === 'holds' });
    const state = after(started, { kind: 'leaves', leaves: leaves as Made });
    const failed = nextAttempt(state, { kind: 'failed', failure, isUnreachable: why === 'unreachable' });
    assert.equal(failed.at, expected === 'parked' ? 'parked' : 'undoing');
    assert.equal(nextAttempt(failed, { kind: 'undone' }).at, expected);
  });
}

function after(state: AttemptState, ...met: AttemptEvent[]): AttemptState {
  return met.reduce(nextAttempt, state);
}

const heldBuild = newAttempt({ mayMove: true, holds: true });

test('a host that is silent for too long is left, unless the guest may run there or no other host can take over', () => {
  const { leaves, guestStarts, hostUnreachable } = events;
  for (const made of ['nothing', 'files', 'domain'] as const) {
    const state = after(heldBuild, { ...leaves, leaves: made });
    assert.deepEqual(after(state, hostUnreachable), { at: 'unreachable', leaves: made });
    assert.equal(after(state, guestStarts, hostUnreachable).at, 'building');
  }
  const only = newAttempt({ mayMove: false, holds: true });
  assert.equal(after(only, hostUnreachable), only);
});

test('a guest that may run keeps its attempt on the host after it was parked and retried, too', () => {
  const { guestStarts, failed, retried, hostUnreachable } = events;
  assert.equal(after(heldBuild, guestStarts, failed, retried, hostUnreachable).at, 'building');
});

test('an attempt that is retried registers its undos again, and forgets none that came after', () => {
  const { leaves, failed, retried, hostGone } = events;
  const registered = after(heldBuild, leaves, failed, retried, { ...leaves, leaves: 'files' });
  assert.deepEqual(after(registered, hostGone), { at: 'gone', leaves: 'domain' });
});

test('a host that is gone is left as it is, whatever the attempt was being undone for', () => {
  const { failed, changed, undone, hostGone } = events;
  const undoing = after(heldBuild, events.leaves, failed, changed);
  assert.deepEqual(after(undoing, undone), { at: 'changed', request });
  assert.deepEqual(after(undoing, hostGone), { at: 'gone', leaves: 'domain', failure: 'a failed step' });
});

test('the two ends that leave a host as it is are those of an abandoned attempt', () => {
  const givenUp = Object.values(states).filter(isGivenUp);
  assert.deepEqual(
    givenUp.map(({ at }) => at),
    ['unreachable', 'gone'],
  );
});
