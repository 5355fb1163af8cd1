import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import { lockKeys } from '../locks/lock-keys.ts';
import { type WorkLock, withLock } from '../locks/with-lock.ts';

/** How long a step waits for an earlier one that may still write. */
const waitMs = 15_000;

/**
 * Steps that make an instance's files share its lock, so that they may run concurrently; what takes the whole instance
 * away has it alone, and so waits for the last writer, even one whose worker is gone.
 */
export async function withInstanceLock<Made>(
  paths: HostPaths,
  instanceId: string,
  { shared, signal }: { readonly shared: boolean; readonly signal?: AbortSignal },
  work: (lock: WorkLock) => Promise<Made>,
): Promise<Made> {
  const whenBusy = (): never => {
    throw new EverbootFailure('HostIoError', `an earlier step still writes the files of instance ${instanceId}`);
  };
  return await withLock(paths, lockKeys.instance(instanceId), { shared, waitMs, signal, whenBusy }, work);
}

/** Does the work with an instance's lock held alone, if it is free; undefined: somebody works on the instance. */
export async function ifInstanceIsFree<Made>(
  paths: HostPaths,
  instanceId: string,
  work: (lock: WorkLock) => Promise<Made>,
): Promise<Made | undefined> {
  return await withLock(paths, lockKeys.instance(instanceId), { whenBusy: () => undefined }, work);
}

/** As `withInstanceLock`, and nobody else makes the same file at the same time. */
export async function withDiskLock<Made>(
  paths: HostPaths,
  { instanceId, name }: { readonly instanceId: string; readonly name: string },
  signal: AbortSignal,
  work: (heldLocks: readonly number[]) => Promise<Made>,
): Promise<Made> {
  const whenBusy = (): never => {
    throw new EverbootFailure('HostIoError', `an earlier attempt still writes ${name} of ${instanceId}`);
  };
  return await withInstanceLock(paths, instanceId, { shared: true, signal }, (instance) =>
    withLock(paths, lockKeys.disk(`${instanceId}/${name}`), { waitMs, signal, whenBusy }, (disk) =>
      work([instance.descriptor, disk.descriptor]),
    ),
  );
}
