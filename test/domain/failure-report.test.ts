import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ApplicationFailure,
  CancelledFailure,
  DefaultFailureConverter,
  defaultPayloadConverter,
} from '@temporalio/common';
import { isRetryable, reportIn, toApplicationFailure } from '../../domain/application-failure.ts';
import { decodeReport, encodeReport, type FailureReport, failureOf, reportOf } from '../../domain/failure-report.ts';
import { EverbootFailure, type FailureCode, failureTable } from '../../domain/failures.ts';
import type { ProgramEnd } from '../../domain/program-end.ts';

const codes = Object.keys(failureTable) as FailureCode[];

const end: ProgramEnd = {
  ...{ program: 'qemu-img', exitCode: 1, signal: null, cut: null },
  stderrTail: 'qemu-img: Could not open',
};

/** A failure as it is when it has been in Temporal: only what its protocol carries is left. */
function throughTemporal(failure: Error): unknown {
  const converter = new DefaultFailureConverter();
  const carried = converter.errorToFailure(failure, defaultPayloadConverter);
  return converter.failureToError(structuredClone(carried), defaultPayloadConverter);
}

/** With a field for each of those that a report may have. */
function wholeReport(code: FailureCode): FailureReport {
  const details = { problems: ['a', 'b'], remedy: 'Look.', remedyWhenParked: 'Wait.', program: end };
  return reportOf(new EverbootFailure(code, 'it broke', details), 'createRootDisk');
}

test('a report of every code comes out of Temporal as it went in, whether it is retried or final', () => {
  for (const code of codes) {
    for (const report of [wholeReport(code), reportOf(new EverbootFailure(code, 'it broke'))]) {
      assert.deepEqual(decodeReport(encodeReport(report)), report);
      for (const retryable of [true, false]) {
        const failure = throughTemporal(toApplicationFailure(report, { retryable }));
        assert.deepEqual(reportIn(failure), report);
        assert.equal(isRetryable(failure), retryable);
      }
    }
  }
});

test('a failure that went through a report is the same failure', () => {
  for (const code of codes) {
    const failure = failureOf(wholeReport(code));
    assert.deepEqual(reportOf(failure, 'createRootDisk'), wholeReport(code));
    assert.deepEqual(failure.program, end);
  }
});

test('a code of a later release keeps its type and its words on every path', () => {
  const details = [{ message: 'no tide', remedy: 'Wait.', problems: ['a'], step: 'floatDisk', tide: 3 }];
  const later = ApplicationFailure.create({ type: 'TideTooLow', message: 'no tide: a. Wait.', details });
  const report = reportIn(throughTemporal(later));
  const said = { code: 'TideTooLow', message: 'no tide', remedy: 'Wait.', problems: ['a'], step: 'floatDisk' };
  assert.deepEqual(report, said);
  assert.ok(report !== undefined);
  const again = reportIn(throughTemporal(toApplicationFailure({ ...report, step: 'sail' }, { retryable: false })));
  assert.deepEqual(again, { ...said, step: 'sail' });
  const { code, message, remedy } = failureOf(report);
  assert.deepEqual([code, message, remedy], ['UnknownCode', 'TideTooLow: no tide', 'Wait.']);
});

test('an error that is not ours keeps its own words, and nothing in its details does harm', () => {
  for (const details of [
    undefined,
    null,
    [],
    [null],
    ['text'],
    [{ message: 7, problems: 'x', step: {}, program: 'sh' }],
  ]) {
    const report = decodeReport({ type: null, message: 'boom', details });
    assert.deepEqual(report, { code: 'InternalError', message: 'boom', remedy: '', problems: [] });
    assert.equal(failureOf(report).remedy, failureTable.InternalError.remedy);
  }
  assert.equal(reportIn(new CancelledFailure('x')), undefined);
  assert.equal(reportIn(new Error('x')), undefined);
});

test('a failure reads as one bounded line, with its problems and its remedy', () => {
  const { message } = encodeReport({ ...wholeReport('SpecInvalid'), problems: ['a', 'b'] });
  assert.equal(message, 'it broke: a; b. Look.');
  assert.equal(encodeReport({ code: 'X', message: 'x'.repeat(9000), remedy: '', problems: [] }).message.length, 3500);
});
