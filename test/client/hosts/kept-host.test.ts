import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keptHost } from '../../../client/hosts/kept-host.ts';
import type { OperationRun } from '../../../client/temporal/operation-run.ts';
import type { FailureCode } from '../../../domain/failures.ts';
import type { OperationMemo } from '../../../domain/operations.ts';

type Case = readonly [string, Partial<OperationMemo>, OperationRun['status'], FailureCode | null, string | null];

const deletion = { operation: 'delete' } as const;
const pinned = { pinned: true } as const;

const cases: readonly Case[] = [
  ['a creation is ready', {}, 'completed', null, 'hv-1'],
  ['a creation runs', {}, 'running', null, 'hv-1'],
  ['a creation failed and was undone', {}, 'failed', 'DomainRejected', null],
  ['a creation was abandoned with its host, which has a deferred cleanup', {}, 'failed', 'HostUnreachable', null],
  ['a creation met another instance', {}, 'failed', 'InstanceExists', 'hv-1'],
  ['a creation met what everboot did not make', {}, 'failed', 'NotManaged', 'hv-1'],
  ['a creation was cancelled and undone', {}, 'cancelled', null, null],
  ['a creation was terminated, and nothing undone', {}, 'terminated', null, 'hv-1'],
  ['a pinned creation is ready', pinned, 'completed', null, 'hv-1'],
  ['a pinned creation found its host away', pinned, 'failed', 'HostUnreachable', 'hv-1'],
  ['a pinned creation was cancelled', pinned, 'cancelled', null, 'hv-1'],
  ['a pinned creation was terminated', pinned, 'terminated', null, 'hv-1'],
  ['a deletion is done', deletion, 'completed', null, null],
  ['a deletion runs', deletion, 'running', null, 'hv-1'],
  ['a deletion failed', deletion, 'failed', 'HostUnreachable', 'hv-1'],
  ['a deletion was cancelled', deletion, 'cancelled', null, 'hv-1'],
  ['a deletion was terminated', deletion, 'terminated', null, 'hv-1'],
  ['a creation that somebody began by hand says no host', { host: '' }, 'completed', null, null],
];
for (const [title, more, status, failedWith, host] of cases) {
  test(`${title}: ${host === null ? 'no host keeps it' : 'its host keeps it'}`, () => {
    const memo: OperationMemo = { operation: 'create', operationId: 'own', host: 'hv-1', ...more };
    assert.equal(keptHost({ memo, status }, failedWith), host);
  });
}
