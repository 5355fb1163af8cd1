import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instanceText } from '../../cli/instance-text.ts';
import { waysOn } from '../../cli/waiting-text.ts';
import type { InstanceView } from '../../client/progress/show-instance.ts';
import { deletionFailure, operationFailure, parkedFailure } from '../../client/temporal/operation-failure.ts';
import { parkedRemedy, reportOf } from '../../domain/failure-report.ts';
import { EverbootFailure, type FailureCode, failureTable } from '../../domain/failures.ts';

const id = '6f6c1a0e-5d43-4b0e-9c2f-1d2f6a1c7b11';
const retry = `everboot retry ${id}`;

test('the commands for a parked boot are those that fit its failure', () => {
  const ways = (code?: string) =>
    waysOn(id, code)
      .split('\n')
      .map((line) => line.trim().replace(/: +/, ': '));
  const giveUp = `abandon: everboot abandon ${id}`;
  assert.deepEqual(ways('FlavorDiskTooSmall'), [`continue: ${retry} --set flavor.rootGb=N`, giveUp]);
  assert.deepEqual(ways('FlavorMemoryTooSmall'), [`continue: ${retry} --set flavor.memoryMb=N`, giveUp]);
  assert.deepEqual(ways('SpecInvalid'), [`continue: ${retry} --set KEY=VALUE`, giveUp]);
  const either = [`continue: ${retry}`, `changed: ${retry} --set KEY=VALUE`, giveUp];
  for (const code of ['HostUnsuitable', 'ImageUnacceptable', undefined]) assert.deepEqual(ways(code), either);
  for (const code of ['InsufficientSpace', 'OfAnotherRelease'])
    assert.deepEqual(ways(code), [`continue: ${retry}`, giveUp]);
});

test('what to do about a parked boot is to retry it, and not to start it again elsewhere', () => {
  const parkedOver = (code: FailureCode) => {
    const remedy = parkedRemedy(reportOf(new EverbootFailure(code, 'x')));
    return parkedFailure(id, { code, message: 'x', remedy, since: 0 }).remedy;
  };
  for (const code of Object.keys(failureTable) as FailureCode[]) {
    assert.doesNotMatch(parkedOver(code), /start the (boot|same request) again|another host;/, code);
  }
  assert.equal(parkedOver('InsufficientSpace'), 'Free space on the host; then retry.');
});

test('a deletion whose host does not answer names its remedy', () => {
  const failure = Object.assign(operationFailure(id, undefined), { code: 'HostUnreachable' as const });
  assert.match(deletionFailure(failure).remedy, new RegExp(`everboot abandon ${id} --host-gone$`));
  assert.equal(deletionFailure(failure).instanceId, id);
});

test('a parked boot of which no worker says why is shown as one, with its commands', () => {
  const view: InstanceView = {
    ...{ instanceId: id, name: 'web-1', host: 'hv-1', phase: 'NeedsOperator', operation: 'create', steps: [] },
    startedAt: '2026-03-01T14:05:09.000Z',
  };
  assert.match(instanceText(view), /parked +no worker says why\n/);
  assert.ok(instanceText(view).endsWith(waysOn(id)));
});
