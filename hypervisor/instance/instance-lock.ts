import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import { type HeldLock, type LockRequest, tryKernelLock, waitForKernelLock } from '../kernel-lock.ts';

/**
 * Steps that make an instance's files share its lock, so that they may run side by side; what takes the whole instance
 * away has it alone, and so waits for the last writer, even one whose worker is gone.
 */
export async function withInstanceLock<Made>(
  paths: HostPaths,
  instanceId: string,
  { shared, signal }: { readonly shared: boolean; readonly signal?: AbortSignal },
  work: (lock: HeldLock) => Promise<Made>,
): Promise<Made> {
  const lock = await waitForKernelLock(
    { ...instanceLock(paths, instanceId), shared },
    signal === undefined ? { timeoutMs: 15_000 } : { timeoutMs: 15_000, signal },
  );
  if (lock === undefined) {
    throw new EverbootFailure('HostIoError', `an earlier step still writes the files of instance ${instanceId}`);
  }
  try {
    return await work(lock);
  } finally {
    await lock.release();
  }
}

/** Does the work with an instance's lock held alone, if it is free; undefined: somebody works on the instance. */
export async function ifInstanceIsFree<Made>(
  paths: HostPaths,
  instanceId: string,
  work: (lock: HeldLock) => Promise<Made>,
): Promise<Made | undefined> {
  const lock = await tryKernelLock(instanceLock(paths, instanceId));
  if (lock === undefined) return undefined;
  try {
    return await work(lock);
  } finally {
    await lock.release();
  }
}

function instanceLock({ locks }: HostPaths, instanceId: string): LockRequest {
  return { lockFile: locks, key: `instance:${instanceId}` };
}

/** As `withInstanceLock`, and nobody else makes the same file at the same time. */
export async function withDiskLock<Made>(
  paths: HostPaths,
  disk: { readonly instanceId: string; readonly name: string },
  signal: AbortSignal,
  work: (heldLocks: readonly number[]) => Promise<Made>,
): Promise<Made> {
  return await withInstanceLock(paths, disk.instanceId, { shared: true, signal }, async (instanceLock) => {
    const own = await waitForKernelLock(
      { lockFile: paths.locks, key: `disk:${disk.instanceId}/${disk.name}` },
      { timeoutMs: 15_000, signal },
    );
    if (own === undefined) {
      throw new EverbootFailure('HostIoError', `an earlier attempt still writes ${disk.name} of ${disk.instanceId}`);
    }
    try {
      return await work([instanceLock.descriptor, own.descriptor]);
    } finally {
      await own.release();
    }
  });
}
