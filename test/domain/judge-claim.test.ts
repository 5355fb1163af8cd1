import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import {
  type ClaimFacts,
  graceMs,
  judgeClaim,
  judgeTemporaryFile,
  type OperationFacts,
  type ReconcileReason,
  type RecordFacts,
  reconcileReasons,
} from '../../domain/judge-claim.ts';

const nowMs = 10_000_000;
const longAgo = nowMs - graceMs;
const claim = { instanceId: 'instance', operationId: 'own' };

function run(outcome: OperationFacts['outcome'], more: Partial<OperationFacts> = {}): OperationFacts {
  return { operation: 'create', operationId: 'own', host: 'here', outcome, sinceMs: longAgo, ...more };
}

const building: RecordFacts = { operationId: 'own', host: 'here', state: 'building', hasDomain: false };
const ready: RecordFacts = { ...building, state: 'ready', hasDomain: true };
const later = { operationId: 'later' };
const there = { host: 'there' };
const laterReady: RecordFacts = { ...ready, ...later };
const deletion = { operation: 'delete', ...later };
const unreadable = { record: null, isRecordUnreadable: true };
const guest = { record: null, hasDomain: true };

/** The facts, beside a building record, its directory and no domain; and the claim's verdict. */
const cases: readonly (readonly [string, Partial<ClaimFacts>, ReconcileReason])[] = [
  ['an open run carries the claim', { newest: run('open') }, 'Owned'],
  ['an open run that was started by hand', { newest: run('open', { operationId: null, host: null }) }, 'Owned'],
  ['an open run with the claim is on another host', { newest: run('open', there) }, 'OtherHost'],
  ['it failed', { newest: run('failed') }, 'Ended'],
  ['it was cancelled', { newest: run('cancelled') }, 'Ended'],
  ['it was terminated', { newest: run('terminated') }, 'Ended'],
  ['it timed out', { newest: run('timed out') }, 'Ended'],
  ['it was terminated a moment ago', { newest: run('terminated', { sinceMs: longAgo + 1 }) }, 'JustEnded'],
  ['it failed, and only its claims on the cache are left', { newest: run('failed'), record: null }, 'Ended'],
  ['Temporal does not know it', { newest: null }, 'Unknown'],
  ['it succeeded, and its record does not say so', { newest: run('succeeded') }, 'Unmarked'],
  ['it succeeded, and its record is gone', { newest: run('succeeded'), record: null }, 'Unmarked'],
  ['another attempt runs here by now', { newest: run('open', later), own: null }, 'Superseded'],
  ['another attempt runs on another host', { newest: run('open', { ...later, ...there }), own: null }, 'Superseded'],
  ['another attempt began a moment ago', { newest: run('open', { ...later, sinceMs: nowMs }), own: null }, 'JustEnded'],
  ['a later attempt failed elsewhere', { newest: run('failed', { ...later, ...there }), own: null }, 'Superseded'],
  ['another operation runs, and its own failed', { newest: run('open', later), own: run('failed') }, 'Ended'],
  ['it is being deleted', { newest: run('open', deletion) }, 'Deleting'],
  ['a ready one is being deleted', { newest: run('open', deletion), record: ready }, 'Deleting'],
  [
    'it was deleted, and something is left',
    { newest: run('succeeded', deletion), own: run('succeeded'), record: null },
    'Superseded',
  ],
  ['its deletion was cut off before it had a record', { newest: run('terminated', deletion), own: null }, 'Superseded'],
  ['a newest run by somebody else has ended', { newest: run('failed', { operationId: null }), own: null }, 'Unknown'],
  ['it is ready', { newest: run('succeeded'), record: ready, hasDomain: true }, 'Ready'],
  ['it is ready, and an operation runs on it', { newest: run('open', later), record: ready, hasDomain: true }, 'Ready'],
  ['it is ready, and its run was terminated', { newest: run('terminated'), record: ready, hasDomain: true }, 'Ready'],
  ['it is ready, and unknown', { newest: null, record: ready, hasDomain: true }, 'ReadyUnknown'],
  ['it is ready without its domain', { newest: run('succeeded'), record: ready }, 'ReadyWithoutDomain'],
  ['it is ready, and libvirt is silent', { newest: run('succeeded'), record: ready, hasDomain: null }, 'Ready'],
  [
    'it is ready here, and was built elsewhere',
    { newest: run('succeeded', { ...later, ...there }), record: ready, hasDomain: true },
    'ReadyElsewhere',
  ],
  [
    'a ready instance’s other operation failed',
    { newest: run('failed'), record: { ...ready, operationId: 'first' } },
    'Ended',
  ],
  [
    'a ready instance’s other operation succeeded',
    { newest: run('succeeded'), record: { ...ready, operationId: 'first' } },
    'Ready',
  ],
  [
    'a ready instance’s other operation is unknown',
    { newest: run('open', later), own: null, record: { ...ready, operationId: 'first' } },
    'BesideReady',
  ],
  [
    'a ready instance’s other operation is unknown, and somebody else’s run is the newest',
    { newest: run('succeeded', { operationId: null }), own: null, record: laterReady },
    'BesideReady',
  ],
  [
    'an earlier attempt at an instance that a later one made ready',
    { newest: run('succeeded', later), own: null, record: laterReady },
    'Superseded',
  ],
  [
    'an earlier attempt at an instance that has been ready for a moment',
    { newest: run('succeeded', { ...later, sinceMs: nowMs }), own: null, record: laterReady },
    'JustEnded',
  ],
  [
    'an earlier attempt, and the ready one’s run was terminated',
    { newest: run('terminated', later), own: null, record: laterReady },
    'BesideReady',
  ],
  [
    'an earlier attempt, and the record is of another host',
    { newest: run('succeeded', later), own: null, record: { ...laterReady, ...there } },
    'BesideReady',
  ],
  [
    'an earlier attempt, and the later one was made ready elsewhere',
    { newest: run('succeeded', { ...later, ...there }), own: null, record: laterReady },
    'BesideReady',
  ],
  [
    'an earlier attempt has the domain of an instance that is ready',
    { newest: run('succeeded', later), own: null, record: laterReady, hasDomain: true },
    'BesideReady',
  ],
  [
    'an earlier attempt at an instance that is ready, and libvirt is silent',
    { newest: run('succeeded', later), own: null, record: laterReady, hasDomain: null },
    'BesideReady',
  ],
  [
    'shared storage alone, of an earlier attempt at an instance that is ready here',
    { newest: run('succeeded', later), own: null, record: laterReady, isHere: false },
    'OtherHost',
  ],
  ['it failed, and its record is damaged', { newest: run('failed'), ...unreadable }, 'UnreadableRecord'],
  [
    'another attempt runs, and the record is damaged',
    { newest: run('open', later), ...unreadable },
    'UnreadableRecord',
  ],
  [
    'it was deleted, and its record is damaged',
    { newest: run('succeeded', deletion), ...unreadable },
    'UnreadableRecord',
  ],
  ['another operation failed, and a domain has no record', { newest: run('failed', later), ...guest }, 'Unknown'],
  ['another attempt runs, and a domain has no record', { newest: run('open', later), ...guest }, 'Unknown'],
  [
    'another operation failed, there is no record, and libvirt is silent',
    { newest: run('failed', later), record: null, hasDomain: null },
    'Unknown',
  ],
  ['a domain has no record, and its operation failed', { newest: run('failed'), ...guest }, 'Ended'],
  ['the record is another host’s', { newest: run('failed'), record: { ...building, host: 'there' } }, 'OtherHost'],
  [
    'shared storage alone, of a run of this host that failed',
    { newest: run('failed'), record: null, isHere: false },
    'Ended',
  ],
  [
    'shared storage alone, of another host’s run that failed',
    { newest: run('failed', there), record: null, isHere: false },
    'OtherHost',
  ],
  [
    'shared storage alone, of another host’s ready instance',
    { newest: run('succeeded', there), record: null, isHere: false },
    'OtherHost',
  ],
  [
    'shared storage alone, of an instance that was ready here',
    { newest: run('succeeded'), record: null, isHere: false },
    'Unmarked',
  ],
  [
    'shared storage alone, under another host’s running attempt',
    { newest: run('open', { ...later, ...there }), own: null, record: null, isHere: false },
    'OtherHost',
  ],
];
for (const [title, given, reason] of cases) {
  test(`${title}: ${reason}`, () => {
    const own = given.own === undefined && given.newest?.operationId === 'own' ? given.newest : (given.own ?? null);
    const known = { record: building, isRecordUnreadable: false, hasDomain: false, isHere: true, newest: null };
    const facts = { ...known, ...given, own };
    assert.equal(judgeClaim({ ...facts, claim, host: 'here', nowMs, graceMs }), reason);
  });
}

test('nothing whose record says ready, or cannot be read, is ever removed, whatever else is known', () => {
  const outcomes: OperationFacts['outcome'][] = ['open', 'succeeded', 'failed', 'cancelled', 'terminated', 'timed out'];
  const runs = [
    null,
    ...outcomes.flatMap((outcome) =>
      ['create', 'delete', 'rescue'].flatMap((operation) =>
        ['own', 'later', null].flatMap((operationId) =>
          ['here', 'there', null].map((host) => run(outcome, { operation, operationId, host, sinceMs: 0 })),
        ),
      ),
    ),
  ];
  for (const newest of runs) {
    for (const own of [null, ...runs.slice(0, 60)]) {
      for (const hasDomain of [true, false, null]) {
        for (const record of [ready, null]) {
          const place = { claim, host: 'here', isHere: true, isRecordUnreadable: record === null };
          const facts = { ...place, nowMs, graceMs, record, hasDomain, newest, own };
          assert.notEqual(reconcileReasons[judgeClaim(facts)].action, 'remove', JSON.stringify(facts));
        }
      }
    }
  }
});

const hour = 3_600_000;
const files: readonly (readonly [string, number, OperationFacts | null, ReconcileReason])[] = [
  ['old, of an operation that runs', 2 * hour, run('open'), 'Owned'],
  ['new, of an operation that ended', 0, run('failed'), 'Orphaned'],
  ['new, of an operation that ended a moment ago', 0, run('failed', { sinceMs: nowMs }), 'FreshFile'],
  ['new, of nobody', 0, null, 'FreshFile'],
  ['old, of nobody', hour, null, 'Orphaned'],
];
for (const [title, ageMs, newest, reason] of files) {
  test(`a partial file, ${title}: ${reason}`, () => {
    assert.equal(judgeTemporaryFile({ nowMs, graceMs, modifiedMs: nowMs - ageMs, newest }), reason);
  });
}

test('a remedy that deletes says first how to see that nothing else is lost, and none stands beside a ready instance', () => {
  for (const [reason, kind] of Object.entries(reconcileReasons)) {
    if ('remedy' in kind && /everboot delete/.test(kind.remedy)) {
      assert.match(kind.remedy, /everboot show ID.*no other host/s, reason);
      assert.notEqual(reason, 'BesideReady' satisfies ReconcileReason);
    }
  }
});

test('docs/reconciling.md lists exactly these reasons, with their words', async () => {
  const page = await readFile(new URL('../../docs/reconciling.md', import.meta.url), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `'));
  const does = { remove: 'goes', leave: 'stays', report: 'stays, look at it' };
  const expected = Object.entries(reconcileReasons).map(([reason, kind]) => {
    const remedy = 'remedy' in kind ? kind.remedy : '–';
    return `| \`${reason}\` | ${does[kind.action]} | ${kind.meaning} | ${remedy} |`;
  });
  assert.deepEqual(rows, expected);
});
