import type { Claim } from '../../../domain/claim.ts';
import type { WorkControl } from '../../../domain/step-progress.ts';
import { keepingReserve } from '../../space/space-guard.ts';
import { promiseSpace, returnSpace } from '../../space/space-ledger.ts';
import type { StoreIngest } from '../store-settings.ts';

interface PlannedFile {
  readonly claim: Claim;
  readonly purpose: string;
  readonly path: string;
  /** The likely size of the write; a larger one is stopped when the host's reserve is reached. */
  readonly bytes: number;
}

/** Does work that writes a large file of the cache: its space is promised first, and given back whatever happens. */
export async function inPromisedSpace<Made>(
  { paths, reservedBytes }: StoreIngest,
  file: PlannedFile,
  control: WorkControl,
  work: (control: WorkControl) => Promise<Made>,
): Promise<Made> {
  await promiseSpace(paths, { ...file, reservedBytes });
  try {
    return await keepingReserve(paths.cache, reservedBytes, control, work);
  } finally {
    await returnSpace(paths, file.claim, file.purpose);
  }
}
