import type { Claim } from '../../domain/claim.ts';
import type { LibvirtSettings } from '../../domain/configuration.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { instanceDirectory } from '../../domain/host-paths.ts';
import { settingsOfInstance } from '../../domain/outside-storage.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import type { BackendContext } from '../../hypervisor/backends/disk-backend.ts';
import { removeTemporaryFiles } from '../../hypervisor/files/publish-file.ts';
import { withDiskLock } from '../../hypervisor/instance/instance-lock.ts';
import { readInstanceRecord } from '../../hypervisor/instance/instance-record.ts';
import { promiseSpace, returnSpace } from '../../hypervisor/space/space-ledger.ts';
import type { Host } from '../context/host.ts';
import { withWorkControl } from '../context/work-control.ts';

interface DiskWork {
  readonly claim: Claim;
  /** The file's name in the instance's directory. */
  readonly name: string;
  /** The most that the step will write; absent where that is little. It is promised first. */
  readonly bytes?: number;
}

/**
 * The frame of every step that makes a file of an instance: only in the directory that carries this operation's claim,
 * under the locks that keep earlier attempts and undos out, in the storage that the record names, and with its space
 * promised before the first byte.
 */
export async function makingDisk<Made>(
  host: Host,
  { claim, name, bytes = 0 }: DiskWork,
  make: (context: BackendContext, control: WorkControl, settings: LibvirtSettings) => Promise<Made>,
): Promise<Made> {
  const { paths, configuration } = host;
  const directory = instanceDirectory(paths, claim.instanceId);
  return await withWorkControl((control) =>
    withDiskLock(paths, { instanceId: claim.instanceId, name }, control.signal, async (heldLocks) => {
      const record = await readInstanceRecord(paths, claim.instanceId);
      if (record?.claim.operationId !== claim.operationId) throw lostClaim(directory);
      await removeTemporaryFiles(`${directory}/${name}`, { ...control, heldLocks });
      const purpose = `disk-${name}`;
      const reservedBytes = configuration.host.reservedDiskMb * 2 ** 20;
      if (bytes > 0) await promiseSpace(paths, { claim, purpose, path: `${directory}/${name}`, bytes, reservedBytes });
      try {
        const settings = settingsOfInstance(configuration.libvirt, record);
        const { preallocateImages: preallocate, virtMkfs } = settings;
        return await make({ claim, paths, directory, preallocate, virtMkfs, heldLocks }, control, settings);
      } finally {
        if (bytes > 0) await returnSpace(paths, claim, purpose);
      }
    }),
  );
}

/** A zombie attempt may come back when the directory is another operation's, or gone. */
function lostClaim(directory: string): EverbootFailure {
  return new EverbootFailure(
    'OperationSuperseded',
    `${directory} does not carry the claim of this operation (any more)`,
  );
}
