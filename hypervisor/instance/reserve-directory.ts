import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { claimName } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { type HostPaths, instanceDirectory } from '../../domain/host-paths.ts';
import type { InstanceRecord } from '../../domain/instance-record.ts';
import { syncPath, temporarySuffix } from '../files/publish-file.ts';
import type { TreeRemoval } from '../files/remove-tree.ts';
import { readInstanceRecord, writeInstanceRecord } from './instance-record.ts';
import { clearUnrecorded, removeInstance } from './remove-instance.ts';

/**
 * Makes the instance's directory with its record in it, in one move, so that there is never a directory of ours without
 * a claim. A directory of an earlier operation that ended without success is cleared first, after its domain: Temporal
 * lets only one operation run on an instance. Call it with the instance's lock held alone.
 *
 * Throws NotManaged for a directory that carries no claim (Nova may have lived here), InstanceExists for a ready
 * instance.
 */
export async function reserveDirectory(
  paths: HostPaths,
  record: InstanceRecord,
  clearBefore: (earlier: InstanceRecord) => Promise<void>,
  control: TreeRemoval = {},
): Promise<string> {
  const { instanceId } = record.claim;
  const directory = instanceDirectory(paths, instanceId);
  const present = await readInstanceRecord(paths, instanceId);
  if (present !== undefined) {
    if (present.state === 'ready') {
      throw new EverbootFailure('InstanceExists', `the instance ${instanceId} is in ${directory} already, and ready`);
    }
    if (claimName(present.claim) === claimName(record.claim)) return directory;
    // Its guest may still run, on the very disks that are about to go, and some of them are not in the directory.
    await clearBefore(present);
    await removeInstance(paths, present.claim, control);
  }
  // Also what an earlier attempt of this was killed in the middle of removing; its own draft is among it.
  await clearUnrecorded(paths, record.claim, control);

  const draft = `${directory}${temporarySuffix}`;
  await mkdir(draft);
  await chmod(draft, 0o711);
  await writeInstanceRecord(draft, record);
  try {
    await rename(draft, directory);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    throw new EverbootFailure('NotManaged', `${directory} is there already, and carries no claim of everboot’s`, {
      remedy: 'Use another id; everboot never touches a directory that it did not make.',
    });
  }
  await syncPath(paths.instances);
  return directory;
}
