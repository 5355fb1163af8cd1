import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { EverbootFailure } from '../../../domain/failures.ts';
import { judgeHead } from '../../../hypervisor/image-inspector/judge-head.ts';
import { inspect, type Kind, kinds, limits, openWorkshop, type Workshop } from './made-images.ts';

/** Changes an image's bytes in place, or answers with others. */
export type Edit = (bytes: Buffer) => unknown;

export interface Refusal {
  readonly edit: Edit;
  readonly reason: RegExp;
  /** False: the first MiB does not show it. */
  readonly inHead?: boolean;
}

/** A test for each change to a real image: the whole file is refused, and so is the first MiB where it shows there. */
export function refused(kind: Kind, refusals: Readonly<Record<string, Refusal>>): void {
  let workshop: Workshop;
  before(async () => {
    workshop = await openWorkshop();
  });
  after(() => workshop.close());
  for (const [title, refusal] of Object.entries(refusals)) {
    test(`a ${kind} ${title} is refused`, () => isRefused(workshop, kind, refusal));
  }
}

async function isRefused(workshop: Workshop, kind: Kind, { edit, reason, inHead = true }: Refusal): Promise<void> {
  const path = await workshop.change(kind, edit);
  const { format } = kinds[kind];
  for (const declared of [format, null]) {
    const { verdict, code, reasons } = await inspect(path, declared);
    assert.deepEqual([verdict, code], ['refused', 'ImageUnacceptable'], reasons.join('; '));
    assert.match(reasons.join('; '), reason);
  }
  const bytes = await readFile(path);
  const limitsOfHead = { ...limits, fileSizeBytes: bytes.length };
  const head = () => judgeHead(bytes.subarray(0, 2 ** 20), format, 'web', limitsOfHead);
  if (!inHead) return head();
  assert.throws(head, (error) => {
    return error instanceof EverbootFailure && error.code === 'ImageUnacceptable' && reason.test(error.message);
  });
}
