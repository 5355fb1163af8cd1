import { rename, rm } from 'node:fs/promises';
import type { Claim } from '../../domain/claim.ts';
import { containerRootName, type HostPaths, instanceDirectory } from '../../domain/host-paths.ts';
import { syncPath, temporaryName, temporarySuffix } from '../files/publish-file.ts';
import { removeTree, type TreeRemoval } from '../files/remove-tree.ts';
import { listFolder } from '../files/small-file.ts';
import { imageStore } from '../image-store/image-store.ts';
import { returnSpace, returnSpaceOfInstance } from '../space/space-ledger.ts';
import { readInstanceRecord } from './instance-record.ts';

/**
 * Removes what an operation made for its instance: the directory, the claims on the cache, the promised space. Nothing
 * that carries another operation's claim is touched, and absence is success.
 *
 * The directory is renamed away before it is emptied, so that nobody meets half an instance; the claims go last, since
 * they keep the backing files of its disks. Call it with the instance's lock held alone, and after its domain is gone.
 */
export async function removeInstance(paths: HostPaths, claim: Claim, control: TreeRemoval = {}): Promise<void> {
  const record = await readInstanceRecord(paths, claim.instanceId);
  if (record?.claim.operationId === claim.operationId) {
    const directory = instanceDirectory(paths, claim.instanceId);
    await rename(directory, temporaryName(directory));
    await syncPath(paths.instances);
  }
  await removeDoomed(paths, claim.instanceId, control);
  await imageStore.releaseClaimsOf(paths, claim.instanceId, (operationId) => operationId === claim.operationId);
  await returnSpace(paths, claim);
}

/**
 * Removes what is left of an instance that has no directory any more: what operations made whose removal was killed in
 * the middle, after which no record has it. The claims and promises of the given operation stay: it may be fetching.
 */
export async function clearUnrecorded(paths: HostPaths, claim: Claim, control: TreeRemoval = {}): Promise<void> {
  await removeDoomed(paths, claim.instanceId, control);
  await imageStore.releaseClaimsOf(paths, claim.instanceId, (operationId) => operationId !== claim.operationId);
  await returnSpaceOfInstance(paths, claim.instanceId, claim);
}

/** Empties what was renamed away, now or before a crash, and drafts that never became a directory. */
export async function removeDoomed(paths: HostPaths, instanceId: string, control: TreeRemoval = {}): Promise<void> {
  for (const name of await listFolder(paths.instances)) {
    if (!name.startsWith(`${instanceId}.`) || !name.endsWith(temporarySuffix)) continue;
    const doomed = `${paths.instances}/${name}`;
    // Only a container has a tree, so that no other removal costs a program.
    const hasTree = (await listFolder(doomed)).some((entry) => entry.startsWith(containerRootName));
    if (hasTree) await removeTree(doomed, control);
    else await rm(doomed, { recursive: true, force: true });
  }
}
