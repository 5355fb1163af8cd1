import type { Claim } from '../domain/claim.ts';
import { EverbootFailure } from '../domain/failures.ts';
import { instanceDirectory } from '../domain/host-paths.ts';
import type { InstanceResult } from '../domain/operations.ts';
import { removeTemporaryFilesIn } from '../hypervisor/files/publish-file.ts';
import { withInstanceLock } from '../hypervisor/instance/instance-lock.ts';
import { readInstanceRecord, writeInstanceRecord } from '../hypervisor/instance/instance-record.ts';
import { returnSpace } from '../hypervisor/space/space-ledger.ts';
import type { Host } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';
import { fenceOperation } from './fencing/fence-operation.ts';

/**
 * Writes into the instance's record that it is ready, and what was made: the truth when Temporal has forgotten it.
 * Throws OperationSuperseded where the operation has lost its claim, has ended or gone to another host.
 */
export async function markReady(
  { paths }: Host,
  { claim, result }: { readonly claim: Claim; readonly result: InstanceResult },
): Promise<void> {
  await withWorkControl(({ signal }) =>
    withInstanceLock(paths, claim.instanceId, { shared: false, signal }, async ({ descriptor }) => {
      const record = await readInstanceRecord(paths, claim.instanceId);
      if (record?.claim.operationId !== claim.operationId) {
        throw new EverbootFailure(
          'OperationSuperseded',
          `the directory of ${claim.instanceId} does not carry the claim of this operation`,
        );
      }
      await fenceOperation(claim);
      const directory = instanceDirectory(paths, claim.instanceId);
      // All steps are over: what killed ones left beside the files that their next attempt made is nobody's.
      await removeTemporaryFilesIn(directory, { signal, heldLocks: [descriptor] });
      await writeInstanceRecord(directory, { ...record, state: 'ready', result });
      await returnSpace(paths, claim);
    }),
  );
}
