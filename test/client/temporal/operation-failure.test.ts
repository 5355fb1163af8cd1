import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApplicationFailure, CancelledFailure, TerminatedFailure, TimeoutFailure } from '@temporalio/common';
import { failureDocument } from '../../../client/temporal/failure-document.ts';
import { operationFailure, parkedFailure, workFailure } from '../../../client/temporal/operation-failure.ts';
import { EverbootFailure } from '../../../domain/failures.ts';

const id = '6f6c1a0e-5d43-4b0e-9c2f-1d2f6a1c7b11';

test('a failure of ours keeps its code, its words and its step', () => {
  const report = { message: 'no room', remedy: 'Free some.', problems: ['a', 'b'], step: 'createRootDisk' };
  const cause = ApplicationFailure.create({ type: 'InsufficientSpace', message: 'longer', details: [report] });
  assert.deepEqual(failureDocument(operationFailure(id, cause)), {
    ...{ code: 'InsufficientSpace', message: 'no room', remedy: 'Free some.', retryable: true },
    ...{ instanceId: id, step: 'createRootDisk', problems: ['a', 'b'] },
  });
});

test('a code of another release is reported as unknown, with its own words', () => {
  const cause = ApplicationFailure.create({ type: 'MoonPhaseWrong', message: 'wait for the full moon' });
  const { code, message } = operationFailure(id, cause);
  assert.deepEqual([code, message], ['UnknownCode', 'MoonPhaseWrong: wait for the full moon']);
  const report = { message: 'no tide', remedy: 'Wait.', problems: ['a'], step: 'floatDisk', tide: 3 };
  const later = ApplicationFailure.create({ type: 'TideTooLow', message: 'no tide: a. Wait.', details: [report] });
  assert.deepEqual(failureDocument(operationFailure(id, later)), {
    ...{ code: 'UnknownCode', message: 'TideTooLow: no tide', remedy: 'Wait.', retryable: false },
    ...{ instanceId: id, step: 'floatDisk', problems: ['a'] },
  });
});

test('ends that are not failures of ours have a code, too', () => {
  const ends: [unknown, string][] = [
    [new CancelledFailure('Workflow canceled'), 'Cancelled'],
    [new TerminatedFailure('by hand'), 'Terminated'],
    [new TimeoutFailure('time is up', undefined, 'START_TO_CLOSE'), 'InternalError'],
    [undefined, 'InternalError'],
  ];
  for (const [cause, code] of ends) assert.equal(operationFailure(id, cause).code, code);
});

test('work on a host that somebody terminated is to be started again, and names no instance', () => {
  const { code, message, remedy } = workFailure(new TerminatedFailure('by hand'));
  assert.deepEqual([code, remedy], ['Terminated', 'Start it again.']);
  assert.match(message, /^it was terminated in Temporal \(by hand\)/);
  assert.match(operationFailure(id, new TerminatedFailure('by hand')).remedy, new RegExp(`delete ${id}$`));
});

test('a document says whether the same request may succeed later', () => {
  const retryable = (code: 'SpecInvalid' | 'HostUnreachable' | 'TemporalUnreachable' | 'DomainRejected') =>
    failureDocument(new EverbootFailure(code, 'x')).retryable;
  assert.deepEqual(
    (['SpecInvalid', 'HostUnreachable', 'TemporalUnreachable', 'DomainRejected'] as const).map(retryable),
    [false, true, true, false],
  );
});

test('a parked operation does not succeed by asking for the same again, whatever its code', () => {
  const { retryable, parked } = failureDocument(
    parkedFailure(id, { code: 'InsufficientSpace', message: 'no room', remedy: 'Free some.', since: 0 }),
  );
  assert.deepEqual([retryable, parked], [false, true]);
});
