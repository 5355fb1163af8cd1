import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exitCodeOf } from '../../cli/exit-codes.ts';
import { type FailureCode, failureKind, failureTable } from '../../domain/failures.ts';

const codes = Object.keys(failureTable) as FailureCode[];

test('every code has one of the documented exit codes', () => {
  for (const code of codes) assert.ok([1, 2, 3, 5].includes(exitCodeOf(code)), code);
});

test('exactly the codes of refused images exit with 3', () => {
  for (const code of codes) assert.equal(exitCodeOf(code) === 3, failureKind(code).imageRefused === true, code);
});

test('usage, spec and configuration exit with 2, what is unreachable with 5', () => {
  const withCode = (exitCode: number) => codes.filter((code) => exitCodeOf(code) === exitCode).sort();
  assert.deepEqual(withCode(2), ['ConfigInvalid', 'SecretKeyMissing', 'SpecInvalid', 'UsageInvalid']);
  assert.deepEqual(withCode(5), ['HostUnreachable', 'TemporalUnreachable']);
});
