import type { FailureCode } from '../../domain/failures.ts';
import type { Refuse } from './image-bytes.ts';

const maxReasons = 20;

export interface Reasons {
  readonly refuse: Refuse;
  readonly list: readonly string[];
}

/** Collects reasons to refuse an image, each once, and no more than anyone reads. */
export function collectReasons(): Reasons {
  const list: string[] = [];
  const refuse = (reason: string) => {
    if (list.length < maxReasons && !list.includes(reason)) list.push(reason);
  };
  return { refuse, list };
}

/** The reason that a disk's size is, if it is one. */
export function judgeSize(virtualSizeBytes: number | null, maxVirtualSizeBytes: number): string | undefined {
  if (virtualSizeBytes === null || virtualSizeBytes <= maxVirtualSizeBytes) return undefined;
  return `its disk has ${virtualSizeBytes} bytes, and at most ${maxVirtualSizeBytes} are allowed`;
}

/** The code of a refusal: being too large counts only where nothing else is wrong. Null: no refusal. */
export function refusalCode(reasons: readonly string[], tooLarge: string | undefined): FailureCode | null {
  if (reasons.length > 0) return 'ImageUnacceptable';
  return tooLarge === undefined ? null : 'ImageTooLarge';
}
