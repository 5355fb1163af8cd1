import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failureTable } from '../../domain/failures.ts';
import type { OperationProgress } from '../../domain/operations.ts';
import { detailsTable } from '../../workflows/details-table.ts';

const id = '4f9c2a31-0000-4000-8000-000000000001';
const { InsufficientSpace, DomainRejected } = failureTable;

function parkedOver(report: { code: 'InsufficientSpace' | 'DomainRejected'; message: string }): OperationProgress {
  const { remedyWhenParked: remedy } = failureTable[report.code];
  const parked = { ...report, remedy, step: 'createRootDisk', keeps: ['claimBaseImage'], since: Date.now() - 180_000 };
  return {
    operation: 'create',
    phase: 'NeedsOperator',
    host: 'cn-1',
    steps: [],
    parked,
  } as unknown as OperationProgress;
}

test('of a boot that waits for a person the details say what to do while it waits, not what to do after its end', () => {
  assert.match(InsufficientSpace.remedy, /choose another host; then start the boot again/);
  const details = detailsTable(parkedOver({ code: 'InsufficientSpace', message: 'it is full' }), id);
  assert.match(details, /What to do: Free space on the host; then retry\. To retry: `everboot retry /);
  assert.doesNotMatch(details, /another host|again/);
  assert.match(details, /that was 3 min/);
});

test('a tenant’s words in a failure end no line and no cell of the details', () => {
  const details = detailsTable(parkedOver({ code: 'DomainRejected', message: 'a | b\n**x** [y](z)' }), id);
  assert.ok(details.includes('a \\| b \\*\\*x\\*\\* \\[y\\](z)'), details);
  assert.ok(details.includes(DomainRejected.remedy.slice(0, 20)));
});
