import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { parkedRemedy, reportOf } from '../../domain/failure-report.ts';
import {
  EverbootFailure,
  type FailureCode,
  type FailureDetails,
  failureKind,
  failureTable,
  isFailureCode,
} from '../../domain/failures.ts';

const codes = Object.keys(failureTable) as FailureCode[];

test('docs/failures.md lists exactly the codes of the table, with their words', async () => {
  const page = await readFile(new URL('../../docs/failures.md', import.meta.url), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `'));
  const expected = codes.map((code) => {
    const { retryable, imageRefused, meaning, remedy, remedyWhenParked } = failureKind(code);
    const kind = retryable ? 'retried' : imageRefused === true ? 'final, image refused' : 'final';
    const parked = remedyWhenParked === undefined ? '' : ` While parked: ${remedyWhenParked}`;
    return `| \`${code}\` | ${kind} | ${meaning} | ${remedy}${parked} |`;
  });
  assert.deepEqual(rows.sort(), expected.sort());
});

test('every failure has a remedy, and ends as a code of the table', () => {
  for (const code of codes) {
    const { remedy, remedyWhenParked = remedy, meaning, endsAs } = failureKind(code);
    for (const text of [remedy, remedyWhenParked]) assert.match(text, /\.$/, code);
    assert.match(meaning, /\.$/, code);
    if (endsAs !== undefined) assert.ok(isFailureCode(endsAs) && !failureKind(endsAs).retryable, code);
  }
});

test('a refused image is never retried', () => {
  for (const code of codes) {
    if (failureKind(code).imageRefused === true) assert.equal(failureKind(code).retryable, false, code);
  }
});

test('a failure takes its remedy from the table, unless it knows a better one', () => {
  assert.equal(new EverbootFailure('HostIoError', 'x').remedy, failureTable.HostIoError.remedy);
  assert.equal(new EverbootFailure('HostIoError', 'x', { remedy: 'Look.' }).remedy, 'Look.');
});

test('a remedy of the place stands for the parked one, too, unless the place knows that one as well', () => {
  const parkedOf = (details: FailureDetails) =>
    parkedRemedy(reportOf(new EverbootFailure('InsufficientSpace', 'x', details)));
  assert.equal(parkedOf({}), failureTable.InsufficientSpace.remedyWhenParked);
  assert.equal(parkedOf({ remedy: 'Add disks.' }), 'Add disks.');
  assert.equal(parkedOf({ remedy: 'Add disks.', remedyWhenParked: 'Add disks and retry.' }), 'Add disks and retry.');
});
