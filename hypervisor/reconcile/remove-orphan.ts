import { rm } from 'node:fs/promises';
import type { Configuration } from '../../domain/configuration.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import { type InstanceRecord, isWithoutDomain } from '../../domain/instance-record.ts';
import { settingsOfInstance } from '../../domain/outside-storage.ts';
import { removeOutsideDisks } from '../backends/backend-of.ts';
import { removeTree } from '../files/remove-tree.ts';
import { imageStore } from '../image-store/image-store.ts';
import { ifInstanceIsFree } from '../instance/instance-lock.ts';
import { removeInstance } from '../instance/remove-instance.ts';
import { removeDomain } from '../libvirt/libvirt.ts';
import type { Orphan, TemporaryFile } from './inventory.ts';

interface OrphanRemoval {
  readonly signal: AbortSignal;
  /** Of the instance's lock. */
  readonly descriptor: number;
  /** False: there never was one, whatever the record says. Absent: true. */
  readonly withDomain?: boolean;
}

/**
 * Removes what an operation left, in the order of its undos: the domain, its disks outside of the directory, the
 * directory, claims and promises. Call it with the instance's lock held alone. Of an instance without a domain libvirt
 * is not asked: a host that makes only disks may have none. Throws what the undos throw.
 */
export async function removeOrphan(
  { configuration, paths }: { readonly configuration: Configuration; readonly paths: HostPaths },
  { claim, leases }: Pick<Orphan, 'claim' | 'leases'>,
  record: InstanceRecord | undefined,
  { signal, descriptor, withDomain = true }: OrphanRemoval,
): Promise<void> {
  const { libvirt, host } = configuration;
  const removing = {
    signal,
    heldLocks: [descriptor],
    clearingSlots: host.maxConcurrentDiskOps,
    onProgress: () => undefined,
  };
  const ownRecord = record?.claim.operationId === claim.operationId ? record : undefined;
  const mayHaveDomain = withDomain && (ownRecord === undefined || !isWithoutDomain(ownRecord));
  if (mayHaveDomain) await removeDomain(libvirt.connectionUri, claim);
  await removeOutsideDisks(settingsOfInstance(libvirt, record), claim, removing);
  await removeInstance(paths, claim, removing);
  // A fetch whose claim was released, and whose lease a crash left.
  for (const cacheName of leases) await imageStore.release(paths, cacheName, claim);
}

/** Removes a partial file or folder, unless somebody works on its instance; false: somebody does. */
export async function removeTemporaryFile(
  paths: HostPaths,
  { path, instanceId }: TemporaryFile,
  signal: AbortSignal,
): Promise<boolean> {
  if (instanceId === null) {
    await rm(path, { recursive: true, force: true });
    return true;
  }
  const done = await ifInstanceIsFree(paths, instanceId, async ({ descriptor }) => {
    await removeTree(path, { signal, heldLocks: [descriptor] });
    return true;
  });
  return done ?? false;
}
